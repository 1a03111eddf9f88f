"""The tables: device labels equal the families' own, whatever the batch carries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.categories.families import FAMILIES, domain
from hybridlm.categories.family import Family, each_token, labels_of
from hybridlm.categories.positions import word_band
from hybridlm.categories.tables import build, check_columns, describe, flat_labels
from hybridlm.categories.vocabulary import of_tokenizer
from hybridlm.config.errors import ConfigError

TOKENS = [b"<bos>", b" def", b"def", b"\n    ", b")", b"42", b"\xe2\x82", b" select", b".", b"the"]
COUNTS_V = np.array([9, 5, 4, 8, 7, 2, 0, 1, 30, 40])
DOMAINS = ("prose", "code_python", "sql")
CARRIED = (*(family for family in FAMILIES if family.assign), word_band.FAMILY, domain.FAMILY)
"""The families of rows with the two columns that `batch` gives them."""


def tables(**options):
    return build(TOKENS, COUNTS_V, {"bos": 0}, DOMAINS, **options)


def batch(seed: int, shape=(2, 5)):
    random = np.random.default_rng(seed)
    columns = {"language": random.integers(0, len(DOMAINS), shape), "word_band": random.integers(0, 6, shape)}
    return (
        jnp.asarray(random.integers(0, len(TOKENS), shape), jnp.int32),
        {name: jnp.asarray(column, jnp.int32) for name, column in columns.items()},
    )


def named(built, labels_MBT):
    """(family, label) of every position, family by family."""
    names = np.array(["=".join(pair) for pair in built.names])
    return names[np.asarray(labels_MBT)]


labels_in_jit = jax.jit(flat_labels)


def label_by_hand(family: Family, token: int, columns: dict[str, int]) -> str:
    """The label of one target, asked of the family itself."""
    vocabulary = of_tokenizer(TOKENS, COUNTS_V, {"bos": 0}, DOMAINS)
    if family.assign is None:
        return tuple(labels_of(family, vocabulary))[columns[family.column]]
    assigned = family.assign(vocabulary)
    return assigned[columns[family.column]][token] if family.column else assigned[token]


@settings(max_examples=4)
@given(seed=st.integers(0, 2**31))
def test_jitted_labels_equal_a_loop_over_tokens(seed):
    built = tables()
    targets_BT, columns = batch(seed)
    got = named(built, labels_in_jit(built, targets_BT, columns))
    for labels_BT, family in zip(got, CARRIED, strict=True):
        for place in np.ndindex(targets_BT.shape):
            here = {name: int(column[place]) for name, column in columns.items()}
            assert labels_BT[place] == f"{family.name}={label_by_hand(family, int(targets_BT[place]), here)}"


def test_labels_of_a_small_batch_read_as_a_person_would():
    built = tables()
    columns = {"language": jnp.array([[0, 1, 2, 1]], jnp.int32), "word_band": jnp.array([[2, 0, 5, 0]], jnp.int32)}
    labels_MBT = flat_labels(built, jnp.array([[1, 1, 7, 3]], jnp.int32), columns)
    rows = dict(zip((family.name for family in built.families), named(built, labels_MBT)[:, 0].tolist()))
    assert rows["keyword"] == [
        *("keyword=other_language", "keyword=keyword", "keyword=keyword", "keyword=not_a_keyword")
    ]
    assert rows["whitespace"] == ["whitespace=none"] * 3 + ["whitespace=indentation"]
    assert rows["word_band"] == [f"word_band={band}" for band in ("1k_10k", "not_a_word", "unseen", "not_a_word")]
    assert rows["domain"] == [f"domain={DOMAINS[index]}" for index in (0, 1, 2, 1)]


def test_each_family_labels_every_target_once():
    targets_BT, columns = batch(0, (3, 7))
    built = tables()
    counts = np.bincount(np.asarray(flat_labels(built, targets_BT, columns)).ravel(), minlength=len(built.names))
    for family, offset in zip(built.families, built.offsets):
        assert counts[offset : offset + len(family.labels)].sum() == targets_BT.size


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        (("word_band", "language", "segment_ids"), set()),
        (("language",), {"word_band"}),
        (("word_band",), {"keyword", "domain"}),
        ((), {"word_band", "keyword", "domain"}),
    ],
)
def test_a_family_whose_column_is_missing_is_left_out(columns, missing):
    built = tables(columns=columns)
    assert {family.name for family in CARRIED} - {family.name for family in built.families} == missing
    targets_BT, all_columns = batch(1)
    present = {name: column for name, column in all_columns.items() if name in columns}
    assert flat_labels(built, targets_BT, present).shape == (len(built.families), *targets_BT.shape)


def test_a_column_out_of_range_stays_within_its_family():
    built = tables()
    targets_BT, columns = batch(2)
    wild = {name: column * 100 - 50 for name, column in columns.items()}
    labels_MBT = np.asarray(flat_labels(built, targets_BT, wild))
    for family, offset, labels_BT in zip(built.families, built.offsets, labels_MBT):
        assert labels_BT.min() >= offset and labels_BT.max() < offset + len(family.labels)


def test_check_columns_says_what_is_wrong():
    built = tables()
    check_columns(built, {name: np.asarray(column) for name, column in batch(3)[1].items()})
    with pytest.raises(ConfigError, match="'domain' reads the column 'language', and the batch has only"):
        check_columns(built, {"word_band": np.zeros((1, 1), np.int32)})
    with pytest.raises(ConfigError, match=r"'word_band' must hold 0 to 5, .* but it spans 0 to 6"):
        check_columns(built, {"word_band": np.full((1, 1), 6), "language": np.zeros((1, 1), np.int32)})


def test_a_language_column_needs_names():
    with pytest.raises(ConfigError, match="`domains` is empty, so that nothing names its values"):
        build(TOKENS, COUNTS_V, {})


def test_a_family_of_ones_own_joins_and_its_typing_errors_are_named():
    mine = Family(name="has_e", question="An e?", labels={"no": "", "yes": ""}, assign=each_token(lambda t: "yse"))
    with pytest.raises(ConfigError, match=r"'has_e' gave the labels \['yse'\], which it does not declare"):
        tables(families=[mine])


def test_the_fingerprint_follows_tables_and_definitions():
    prints = [
        describe(built)["fingerprint"]
        for built in (
            tables(),
            tables(columns=("language",)),
            build(TOKENS, COUNTS_V[::-1].copy(), {"bos": 0}, DOMAINS),
            build(TOKENS, COUNTS_V, {"bos": 0}, ("prose", "code_python", "yaml")),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert describe(tables())["fingerprint"] == prints[0] == describe(jax.device_put(tables()))["fingerprint"]


def test_the_description_defines_every_label():
    families = describe(tables())["families"]
    assert families["domain"]["labels"] == {domain: f"documents of {domain}" for domain in DOMAINS}
    assert all(definition for family in families.values() for definition in family["labels"].values())
