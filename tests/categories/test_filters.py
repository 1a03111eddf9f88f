import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.categories import registry, tables
from hybridlm.categories.filters import PRESETS, All, OneOf, parse
from hybridlm.config.errors import ConfigError

NAMES = {family.name: tuple(family.labels or ("prose", "sql")) for family in registry.families()}
LEAVES = ("content", "copy>=3", "copy_distance<=33_128", "bracket_role={open, close}", "code!=name", "all")
EXPRESSIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("&|"), inner) | inner.map("~{}".format),
    max_leaves=6,
)


def labels(**names):
    """Arrays of label indices from labels in words."""
    return {name: np.array([NAMES[name].index(label) for label in found.split()]) for name, found in names.items()}


def random_labels(seed):
    random = np.random.default_rng(seed)
    return {name: random.integers(0, len(known), 50).astype(np.int8) for name, known in NAMES.items()}


def test_the_study_s_filter_leaves_new_content_words():
    found = labels(
        word_class="content content function not_a_word content",
        copy="0 2 0 0 1",
    )
    assert parse("content & ~copy1").select(found).tolist() == [True, False, False, False, False]
    assert parse("content_no_copy") == parse("content & ~copy1") == parse("content") & ~parse("copy>=1")
    assert parse("all").select(found).all()


def test_a_copy_of_one_token_is_not_a_copy_of_one_or_more():
    found = labels(copy="no_text 0 1 2 8")
    assert parse("copy=1").select(found).tolist() == [False, False, True, False, False]
    assert parse("copy1").select(found).tolist() == [False, False, True, True, True]


def test_copies_of_five_and_pairs_of_recall():
    found = labels(
        copy="no_text 0 4 5 8",
        copy_distance="no_copy no_copy 1_32 1_32 513_2048",
        recall="no_text single first repeat repeat",
    )
    for name, wanted in {
        "copy5": [0, 0, 0, 1, 1],
        "copy5_only": [0, 0, 0, 1, 1],
        "recall_first": [0, 0, 1, 0, 0],
        "recall_repeat": [0, 0, 0, 1, 1],
        "recall_near": [0, 0, 0, 1, 0],
        "recall_far": [0, 0, 0, 0, 1],
        "copy<=4": [0, 1, 1, 0, 0],
        "copy>0": [0, 0, 1, 1, 1],
    }.items():
        assert parse(name).select(found).tolist() == [bool(n) for n in wanted], name


def test_and_binds_more_than_or_and_not_more_than_both():
    a, b, c = (parse(name) for name in ("content", "copy=0", "code=name"))
    assert parse("content | copy=0 & ~code=name") == a | (b & ~c)
    assert parse("(content | copy=0) & ~(code=name)") == (a | b) & ~c


@settings(max_examples=60)
@given(EXPRESSIONS, st.integers(0, 1000))
def test_the_text_of_a_filter_is_the_filter(expression, seed):
    wanted = parse(expression)
    again = parse(json.loads(json.dumps(str(wanted))))
    assert again == wanted and hash(again) == hash(wanted)
    found = random_labels(seed)
    np.testing.assert_array_equal(again.select(found), wanted.select(found))
    np.testing.assert_array_equal((~wanted).select(found), ~wanted.select(found))


def test_labels_that_are_not_plain_words_stand_in_braces():
    wanted = OneOf("domain", ("English news",))
    assert str(wanted) == "domain={English news}" and parse(str(wanted)) == wanted


def test_every_preset_can_be_read():
    found = random_labels(0)
    assert all(parse(name).select(found).shape == (50,) for name in PRESETS)


def test_jax_labels_inside_jit_give_what_numpy_labels_give():
    wanted = parse("content & ~copy1 | bracket_role={open, close} & domain!=sql")
    found = random_labels(1)
    families = [*(f for f in registry.families() if f.name != "domain"), Domains()]
    on_device = jax.jit(lambda labels: wanted.select(labels, families))({n: jnp.asarray(v) for n, v in found.items()})
    np.testing.assert_array_equal(on_device, wanted.select(found, families))


class Domains:
    """The partition that tables make of the family `domain`."""

    name, labels = "domain", ("prose", "sql")


def test_flat_labels_of_tables_are_filtered_as_they_are():
    built = tables.build(
        [b"(", b" the", b"x"], np.ones(3, np.int64), {}, ("prose", "sql"), columns=("language", "copy", "word_class")
    )
    columns = labels(copy="0 5 0", word_class="not_a_word function content") | {"language": np.array([0, 0, 1])}
    columns = {name: jnp.asarray(column, jnp.int32)[None] for name, column in columns.items()}
    found = tables.by_family(built, tables.flat_labels(built, jnp.array([[0, 1, 2]], jnp.int32), columns))
    for text, wanted in {
        "bracket=open": [1, 0, 0],
        "copy5": [0, 1, 0],
        "content & domain=sql": [0, 0, 1],
        "~(bracket=open | content)": [0, 1, 0],
    }.items():
        assert parse(text, built.families).select(found, built.families).tolist() == [[bool(n) for n in wanted]], text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contnt", "'contnt' is neither a label nor a preset; did you mean 'content'"),
        ("coyp>=1", "family 'coyp' of the filter is not known; did you mean 'copy'"),
        ("code=keywrd", "label 'keywrd' of family 'code' is not known; did you mean 'keyword'"),
        ("copy", "'copy' is a family, not a label; say copy=LABEL with one of no_text, 0, 1,"),
        ("domain", "say domain=LABEL with one of the names of the domains"),
        ("close", "'close' is a label of the families bracket_role, bracket; say which one, as in bracket_role=close"),
        (
            "code>=name",
            "labels of family 'code' have no order, so code>=name means nothing; name the labels: code={not_code,",
        ),
        ("copy>8", "no label of family 'copy' satisfies copy>8"),
        ("content and copy1", "cannot be read: it joins terms such as .* by & .both., | .either. and ~"),
        ("content &", "cannot be read"),
        ("(content", "cannot be read"),
        ("content(copy1)", "cannot be read"),
        ("content + copy1", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_with_what_was_meant(text, said):
    with pytest.raises(ConfigError, match=said):
        parse(text)


def test_labels_that_are_not_there_are_named():
    with pytest.raises(ConfigError, match="family 'word_class' of the filter is not known; known are copy"):
        parse("content").select(labels(copy="0"))
    with pytest.raises(ConfigError, match="label 'blue' of family 'copy' is not known"):
        OneOf("copy", ("blue",)).select(labels(copy="0"))
    with pytest.raises(ConfigError, match="'all' was given no labels"):
        All().select({})
