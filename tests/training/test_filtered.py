"""Filters over labels as categories of a step: who passes, where the others go, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.categories import registry
from hybridlm.categories.filters import PRESETS
from hybridlm.categories.tables import build, flat_labels
from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import override
from hybridlm.config.training import TrainingConfig
from hybridlm.scoring.sums import category_sums
from hybridlm.training import filtered

TOKENS = [b"", b" the", b" harbour", b" (", b")", b"7"]
SPECIAL = {"pad": 0, "bos": 0, "eos": 0, "mask": 0}
COLUMNS = ("word_class", "copy", "language")
FILTERS = {
    "everything": "all",
    "new content": "content_no_copy",
    "prose": "domain=prose & ~digits=one",
    "long": "copy>=5",
}


def experiment(**filters):
    return override(
        Experiment(name="run"), {"training.filters": filters, "data.labels": ["word_band", "word_class", "copy"]}
    )


@pytest.fixture(scope="module")
def tables():
    return build(TOKENS, np.arange(6), SPECIAL, ("prose", "code"), columns=COLUMNS)


@pytest.fixture(scope="module")
def batch():
    """Targets and columns: two rows of eight tokens, all kinds mixed."""
    random = np.random.default_rng(0)
    highest = {"tokens": 6, "word_class": 3, "copy": 10, "language": 2}
    return {name: random.integers(0, count, (2, 8)).astype(np.int32) for name, count in highest.items()}


def passes(batch, row, place):
    """By name what each of the four filters says of a token, in plain words."""
    copied = batch["copy"][row, place] - 1
    return {
        "everything": True,
        "new content": batch["word_class"][row, place] == 1 and copied < 1,
        "prose": batch["language"][row, place] == 0 and batch["tokens"][row, place] != 5,
        "long": copied >= 5,
    }


@pytest.mark.parametrize("scatter", [True, False])
def test_a_filter_sums_the_tokens_it_lets_through_and_no_others(tables, batch, scatter):
    texts = {name.replace(" ", "_"): text for name, text in FILTERS.items()}
    filters = filtered.resolve(experiment(**texts), tables.families)
    nll_BT = np.random.default_rng(1).exponential(size=(2, 8)).astype(np.float32)
    first = len(tables.names)

    @jax.jit
    def sums(columns):
        flat_MBT = flat_labels(tables, columns["tokens"], columns)
        cells_NBT = filtered.cells(filters, tables, flat_MBT, first=first)
        options = {"parts": 2, "categories": first + len(filters), "scatter": scatter}
        return category_sums(cells_NBT, jnp.arange(2), jnp.array(nll_BT), jnp.ones((2, 8), bool), **options)

    found = sums(batch)
    assert not found.count_PC[:, :first].any(), "families have cells of their own"
    for row in range(2):
        for number, name in enumerate(FILTERS):
            wanted = [nll_BT[row, place] for place in range(8) if passes(batch, row, place)[name]]
            assert found.count_PC[row, first + number] == len(wanted)
            np.testing.assert_allclose(found.total_PC[row, first + number], sum(wanted), rtol=1e-6)


def refusal(text, families=None, **changes):
    with pytest.raises(ConfigError) as refused:
        given = override(experiment(hard=text), changes)
        filtered.check(given) if families is None else filtered.resolve(given, families)
    return str(refused.value)


def test_labels_that_training_rows_lack_are_named_with_the_fix():
    assert refusal("content_no_copy", **{"data.labels": ["word_band"]}) == (
        "training.filters['hard']='content_no_copy' reads copy, word_class, which training rows are not labelled by: "
        "they have the labels that data.labels names, held-out rows all of them. Prepare the text with "
        "--config.data.labels=word_band,word_class,copy."
    )


def test_a_domain_must_have_a_name(tables):
    nameless = [family for family in tables.families if family.name != "domain"]
    assert refusal("domain=prose | copy>=5", nameless) == (
        "training.filters['hard']='domain=prose | copy>=5' reads domain, but the domains of these data have no names, "
        "so nothing says which one a token is of."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "contents",
            "training.filters['hard']='contents': the filter name 'contents' is neither a label nor a preset; ",
        ),
        (
            "content &",
            "training.filters['hard']='content &': the filter 'content &' cannot be read: it joins terms such",
        ),
        ("copy>=12", "training.filters['hard']='copy>=12': label '12' of family 'copy' is not known"),
    ],
)
def test_a_filter_that_cannot_be_read_is_named(text, message):
    assert refusal(text).startswith(message)


def test_a_domain_is_known_by_its_name_once_there_are_data(tables):
    assert refusal("domain=poetry", tables.families) == (
        "training.filters['hard']='domain=poetry': label 'poetry' of family 'domain' is not known; known are code, "
        "prose"
    )
    filtered.check(experiment(hard="domain=poetry"))


def test_every_preset_can_be_logged_with_its_labels():
    labels = [family.name for family in registry.families() if family.compile]
    for preset in PRESETS:
        filtered.check(override(experiment(wanted=preset), {"data.labels": labels}))


def test_names_become_parts_of_metrics():
    with pytest.raises(ConfigError) as refused:
        TrainingConfig(filters={"new/content": "content", "fine-1.0": "content"})
    assert str(refused.value) == (
        "training.filters has the names ['new/content'], which become the end of a metric's name, filtered/ar/NAME; "
        "use letters, digits, '_', '.' and '-'."
    )


def test_filters_need_labels():
    with pytest.raises(ConfigError) as refused:
        TrainingConfig(categories=False, filters={"new": "content"})
    assert str(refused.value) == (
        "training.filters={'new': 'content'} read the labels of tokens, and training.categories=False makes none; "
        "leave one of them out."
    )
