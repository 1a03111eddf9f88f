import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridlm.config.errors import ConfigError
from hybridlm.data import splits


def test_a_group_keeps_its_place_for_ever():
    assert [round(splits.share(group), 6) for group in ("json", "asyncio", "é")] == [0.02285, 0.309968, 0.746426]


@given(st.text(max_size=20), st.floats(0.01, 0.4), st.floats(0, 0.4))
def test_a_split_is_an_interval_of_the_hash(group, validation, test):
    place, split = splits.share(group), splits.split_of(group, validation=validation, test=test)
    assert 0 <= place < 1
    assert (split == "test") == (place < test)
    assert (split == "train") == (place >= test + validation)


def test_shares_are_met_over_many_groups():
    found = [splits.split_of(f"group {n}", validation=0.1, test=0.05) for n in range(10_000)]
    assert abs(found.count("validation") / 1e4 - 0.1) < 0.01
    assert abs(found.count("test") / 1e4 - 0.05) < 0.01


def test_nothing_held_out_is_an_error_that_names_the_share_that_would_do():
    groups = [f"g{n}" for n in range(7)]
    with pytest.raises(ConfigError) as error:
        splits.check_splits(["train"], groups, validation=0.001, test=0.0)
    text = str(error.value)
    assert text.startswith("no document is left for validation: whole groups go to one split by the hash of their name")
    assert "none of the 7 group(s): g0, g1, g2, g3, g4, ..." in text
    enough = float(text.partition("Set data.validation to at least ")[2].split(",")[0])
    assert "validation" in [splits.split_of(group, validation=enough, test=0.0) for group in groups]


def test_one_group_cannot_be_split():
    with pytest.raises(ConfigError, match=r"none of the 1 group\(s\): book. Add sources, or give a .jsonl with a 'gr"):
        splits.check_splits(["train"], ["book", "book"], validation=0.04, test=0.04)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ConfigError, match=r"no document is left for train.*Lower data.validation and data.test"):
        splits.check_splits(["validation", "test"], ["a", "b"], validation=0.4, test=0.4)
