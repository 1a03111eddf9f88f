"""A refusal names both sides, so that one look at it is enough."""

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.storage.compatibility import check_fingerprints, check_leaves, check_mixing

STORED = {"tokenizer": "sha256:ab", "data": "sha256:cd", "mask": "sha256:ef"}


def test_equal_fingerprints_pass_and_only_those_named_count():
    check_fingerprints(STORED, STORED, step=3)
    check_fingerprints(STORED, {"tokenizer": "sha256:ab"}, step=3)


def test_other_fingerprints_are_shown_beside_the_stored_ones():
    with pytest.raises(ConfigError) as refusal:
        check_fingerprints(STORED, STORED | {"tokenizer": "sha256:99", "order": "seed 1"}, step=3)
    assert str(refusal.value) == (
        "checkpoint 3 was made with another tokenizer and order, so its weights mean something else here; name the "
        "same files again, or start afresh in a new --workdir:\n"
        "  tokenizer: stored sha256:ab, now sha256:99\n"
        "  order: stored nothing, now seed 1"
    )


def test_shares_of_sources_may_change_from_the_checkpoint_on_and_not_before():
    first, second = (
        {"shares": {"a": share, "b": 1 - share}, "from_step": step} for share, step in ((0.5, 0), (0.25, 7))
    )
    check_mixing({"mixing": [first]}, {"mixing": [first, second]}, step=7)
    check_mixing({"mixing": [first, second]}, {"mixing": [first]}, step=7)
    with pytest.raises(ConfigError) as refusal:
        check_mixing({"mixing": [first]}, {"mixing": [first, second]}, step=8)
    assert str(refusal.value) == (
        f"checkpoint 8 was trained with data.mixing [{first}], and now its steps would have had [{first}, {second}]. "
        "Leave the past as it was and add the new shares with from_step=8 or later, or start afresh in a new --workdir."
    )


def test_each_differing_leaf_is_one_line_in_order():
    stored = {"a": "int", "b": "float32[2]", "d": "int"}
    wanted = {"b": "float32[3]", "c": "int", "d": "int"}
    with pytest.raises(ConfigError, match=r"checkpoint 7 holds other leaves than this run \(3 differ\)") as refusal:
        check_leaves(stored, wanted, step=7)
    assert str(refusal.value).splitlines()[1:] == [
        "  a: stored int, wanted nothing",
        "  b: stored float32[2], wanted float32[3]",
        "  c: stored nothing, wanted int",
    ]
