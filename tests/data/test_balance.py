"""Rows of rare tokens are read more often, by how much, and nothing else of the stream changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import Mixing
from hybridlm.data import balance
from hybridlm.data.balance import Resampled, repeats
from hybridlm.data.stream import TrainStream

LOG_2 = np.log(2)


def test_a_row_twice_as_rare_is_read_twice_as_often():
    np.testing.assert_allclose(
        repeats(np.array([0, LOG_2, LOG_2, 2 * LOG_2]), 1.0, 9.0), np.array([1, 2, 2, 4]) * 4 / 9
    )
    np.testing.assert_allclose(repeats(np.array([0, LOG_2]), 2.0, 9.0), [0.4, 1.6])
    np.testing.assert_allclose(repeats(np.array([0, LOG_2]), -2.0, 9.0), [1.6, 0.4])


def test_what_the_cap_takes_from_the_rarest_the_others_share():
    np.testing.assert_allclose(repeats(np.array([0, 0, LOG_2, 9.0]), 1.0, 2.0), [0.5, 0.5, 1, 2], rtol=1e-6)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=40), st.floats(-2, 60), st.floats(1.1, 8))
def test_the_mean_is_one_and_the_order_that_of_rarity(rarity, power, cap):
    found_N = repeats(np.array(rarity), power, cap)
    assert found_N.mean() == pytest.approx(1, rel=1e-6)
    assert found_N.max() <= cap + 1e-9
    by_rarity_N = found_N[np.argsort(np.array(rarity) * np.sign(power))]
    assert np.all(np.diff(by_rarity_N) >= -1e-9)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=30), st.integers(0, 99))
def test_an_epoch_reads_every_row_as_often_as_it_is_worth_rounded_up_or_down(rarity, seed):
    wanted_N = repeats(np.array(rarity), 1.0, 4.0)
    resampled, size = Resampled.of(wanted_N, seed), len(wanted_N)
    read_EN = np.array(
        [np.bincount([resampled.row(slot, epoch) for slot in range(size)], minlength=size) for epoch in range(50)]
    )
    assert np.all(read_EN >= np.floor(wanted_N - 1e-9)) and np.all(read_EN <= np.ceil(wanted_N + 1e-9))
    np.testing.assert_allclose(read_EN.mean(0), wanted_N, atol=0.1)


@pytest.fixture(scope="module")
def rows(prepared):
    return prepared.rows("train")


def test_rarity_is_the_mean_over_the_tokens_of_a_row(rows, prepared):
    counts_V = prepared.counts_V
    found_N, row = balance.rarity(rows, counts_V), rows.read([3])
    tokens = row["tokens"][row["segment_ids"] > 0]
    expected = np.mean([-np.log((counts_V[n] + 1) / (counts_V.sum() + counts_V.size)) for n in tokens])
    assert len(found_N) == len(rows) and found_N[3] == pytest.approx(expected)


def test_the_stream_turns_to_rare_rows_and_back_and_stays_a_function_of_seed_and_step(rows, prepared):
    rarity_N = balance.rarity(rows, prepared.counts_V)
    (source,) = rows.ranges
    phases = (Mixing(shares={source: 1.0}, rare_power=3.0), Mixing(shares={source: 1.0}, from_step=len(rows)))
    options = {"seed": 1, "batch_rows": 4, "rarity_N": rarity_N}
    even = (Mixing(shares={source: 1.0}),)
    stream, plain = (TrainStream(rows, mixing=mixing, **options) for mixing in (phases, even))

    rare = [row for step in range(len(rows)) for row in stream.indices(step)]
    read_N = np.bincount(rare, minlength=len(rows)) / 4
    assert np.corrcoef(read_N, repeats(rarity_N, 3.0, 4.0))[0, 1] > 0.95
    assert rarity_N[rare].mean() > rarity_N.mean() + 0.2 * rarity_N.std()

    again = TrainStream(rows, mixing=phases, own_rows=(2, 3), **options)
    assert again.indices(7) == stream.indices(7)[2:]
    assert stream.indices(len(rows) + 5) == plain.indices(len(rows) + 5), "without a power rows are read as ever"


def test_rarity_needs_counts(rows):
    with pytest.raises(ConfigError) as error:
        balance.rarity(rows, np.zeros(300, np.int64))
    assert str(error.value) == (
        "data.mixing asks for rare_power, and these data were prepared without counts of tokens, so nothing says which "
        "are rare; leave rare_power at 0."
    )


def test_the_cap_must_leave_room_for_the_mean():
    with pytest.raises(ConfigError, match="data.mixing: rare_cap=1.0 must be above 1, since the mean row is read once"):
        Mixing(shares={"a": 1.0}, rare_power=1.0, rare_cap=1.0)
