"""Rows that do not hold the text as it stands: spans cut out and put behind it, and tokens in random order."""

import collections
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.objective import eso_lm, span_corruption
from hybridlm.masks import materialize
from hybridlm.objectives import single
from hybridlm.objectives.arrangements import arrange
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import Ids, Text

MASK, BOS = 1, 2
IDS = Ids(mask=MASK, never=(0, MASK, BOS), size=99)
ROWS = 4096


def packed(sizes, length, rows=1):
    """Rows of documents of these sizes, each of which opens with BOS, whose n-th token of the row has the id n + 3."""
    columns = np.zeros((3, length), np.int32)
    ends = np.cumsum(sizes)
    for number, (end, size) in enumerate(zip(ends, sizes)):
        columns[:, end - size : end] = np.arange(end - size, end) + 3, np.full(size, number + 1), np.arange(size)
        columns[0, end - size] = BOS
    tokens, segments, positions = (jnp.tile(jnp.asarray(column), (rows, 1)) for column in columns)
    return Text(tokens, segments, positions, {"id": tokens})


def read(row, prefix):
    """The text that a row with spans was made of, and the spans: what is behind the n-th mask belongs to the n-th."""
    is_mask = row[prefix:] == MASK
    spans = [row[prefix:][(np.cumsum(is_mask) == n + 1) & ~is_mask].tolist() for n in range(is_mask.sum())]
    left = iter(spans)
    text = list(itertools.chain.from_iterable(next(left) if token == MASK else [token] for token in row[:prefix]))
    assert next(left, None) is None
    return text, spans


@settings(deadline=None, max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 16), min_size=4, max_size=4),
    how=st.sampled_from([(0.15, 3.0), (0.5, 1.0), (0.9, 4.0)]),
    seed=st.integers(0, 999),
)
def test_spans_put_back_are_the_text_but_for_its_last_tokens(sizes, how, seed):
    found = arrange(span_corruption(*how), text := packed(sizes, 64), IDS, jax.random.key(seed))
    rows = (text.tokens_BT, found.text.tokens_BT, found.is_target_BT, found.prefix_BT, found.place_BT)
    for number, end in enumerate(np.cumsum(sizes)):
        whole, row, is_target, prefix, place = (np.asarray(x)[0, end - sizes[number] : end] for x in rows)
        restored, spans = read(row, prefix[0])
        assert restored == whole[: len(whole) - 2 * len(spans)].tolist()
        assert (len(spans) > 0) == (len(whole) >= 4)
        assert row[is_target].tolist() == [*itertools.chain.from_iterable(spans)]
        assert np.asarray(text.tokens_BT)[0, place[is_target]].tolist() == row[is_target].tolist()
    assert not np.any(np.asarray(found.text.tokens_BT)[0, sum(sizes) :])


@pytest.mark.parametrize(("rate", "mean"), [(0.15, 3.0), (0.5, 3.0), (0.5, 16.0)])
def test_a_long_document_is_cut_by_rate_and_mean(rate, mean):
    found = arrange(span_corruption(rate, mean), packed([1000], 1000), IDS, jax.random.key(0))
    restored, spans = read(np.asarray(found.text.tokens_BT)[0], int(found.prefix_BT[0, 0]))
    lengths = list(map(len, spans))
    assert sum(lengths) / len(restored) == pytest.approx(rate, abs=0.001)
    assert np.mean(lengths) == pytest.approx(mean, rel=0.02)
    assert max(lengths) > mean > min(lengths)


def test_all_ways_to_cut_a_document_are_equally_likely():
    """Ten slots hold six tokens of text: three stay, three are cut in two runs, before two of the places behind those
    that stay, which makes 2 x 3 ways."""
    found = arrange(span_corruption(0.5, 2.0), packed([10], 10, ROWS), IDS, jax.random.key(1))
    ways = collections.Counter(map(tuple, np.asarray(found.text.tokens_BT).tolist()))
    M = MASK
    assert set(ways) == {
        (2, M, 5, 6, M, M, 4, M, 7, 8),
        (2, M, 6, 7, M, M, 4, 5, M, 8),
        (2, 4, M, 6, M, M, 5, M, 7, 8),
        (2, 4, M, 7, M, M, 5, 6, M, 8),
        (2, M, 5, M, 8, M, 4, M, 6, 7),
        (2, M, 6, M, 8, M, 4, 5, M, 7),
    }
    assert all(abs(count - ROWS / 6) < 4 * math.sqrt(ROWS * 5 / 36) for count in ways.values())


def test_a_short_document_does_not_always_lose_its_end():
    """Ten slots hold eight tokens, of which one is cut: any but BOS, which opens it."""
    found = arrange(span_corruption(0.15, 3.0), packed([10], 10, ROWS), IDS, jax.random.key(1))
    cut = np.bincount(np.asarray(found.text.tokens_BT)[:, -1] - 4, minlength=7)
    assert all(abs(count - ROWS / 7) < 4 * math.sqrt(ROWS * 6 / 49) for count in cut) and len(cut) == 7


def test_a_prediction_of_a_span_sees_all_that_stays_and_the_spans_before_it():
    inputs = single.build("spans", span_corruption(0.5, 2.0), packed([10], 10, ROWS), IDS, jax.random.key(0))
    prefix, sees = int(inputs.facts.prefix_length[0, 0]), np.asarray(materialize(inputs.mask, inputs.facts))[0]
    row, targets, index = (np.asarray(x)[0] for x in (inputs.inputs_BT, inputs.targets_BT, inputs.target_index_BT))
    for slot in np.flatnonzero(index >= 0):
        assert sees[slot].tolist() == [column < prefix or column <= slot for column in range(10)]
        assert targets[slot] == row[slot + 1] != MASK


def orders(alpha_0):
    """Probability of every order of three tokens, by loops over which come first and their permutations."""
    found = collections.Counter()
    for kept in itertools.product([0, 1], repeat=3):
        first = [i for i in range(3) if kept[i]]
        later = [i for i in range(3) if not kept[i]]
        share = alpha_0 ** len(first) * (1 - alpha_0) ** len(later) / math.factorial(len(first))
        for order in itertools.permutations(first):
            found[(*order, *later)] += share
    return found


@pytest.mark.parametrize("alpha_0", [0.125, 0.5, 1.0])
def test_orders_are_as_likely_as_tokens_kept_at_random_and_shuffled_make_them(alpha_0):
    found = arrange(eso_lm(alpha_0), packed([4, 2], 7, ROWS), IDS, jax.random.key(0))
    place = np.asarray(found.place_BT) % 7
    drawn = collections.Counter(map(tuple, (place[:, 1:4] - 1).tolist()))
    for order, p in orders(alpha_0).items():
        assert abs(drawn[order] / ROWS - p) < 4 * math.sqrt(p * (1 - p) / ROWS)
    assert sum(drawn.values()) == ROWS
    assert np.all(place[:, [0, 4, 5, 6]] == [0, 4, 5, 6]), "BOS comes first, and documents keep their slots"
    np.testing.assert_array_equal(found.text.position_BT[:, :4], place[:, :4])
    np.testing.assert_array_equal(found.text.tokens_BT, found.text.columns["id"])


NLL = np.random.default_rng(0).uniform(0.5, 4, size=(8, 3))
"""What a model that knows nothing but which of three tokens it sees would pay for each of them, by set of the seen."""


@functools.cache
def eso_bound(alpha_0, steps=500):
    """Both terms for each token by their definitions: diffusion integrated over time, autoregression over every z_0."""
    total = np.zeros(3)
    sets = list(itertools.product([0, 1], repeat=3))  # 1 is a token that is not masked
    for t in (np.arange(steps) + 0.5) / steps:
        alpha = alpha_0 * (1 - t)
        for kept in sets:
            p = alpha ** sum(kept) * (1 - alpha) ** (3 - sum(kept))
            masked = 1 - np.array(kept)
            total += p * alpha_0 / (1 - alpha) * masked * NLL[sum(k << i for i, k in enumerate(kept))] / steps
    for kept in sets:
        p = alpha_0 ** sum(kept) * (1 - alpha_0) ** (3 - sum(kept))
        for i in range(3):
            if not kept[i]:
                total[i] += p * NLL[sum((kept[j] or j < i) << j for j in range(3)), i]
    return total


@pytest.mark.parametrize("alpha_0", [0.125, 0.5, 1.0])
@pytest.mark.parametrize("sample", [None, Sample(1, 3)], ids=["training", "sample"])
def test_one_draw_of_eso_lm_has_the_bound_as_its_expectation_token_by_token(alpha_0, sample):
    inputs = single.build("eso", eso_lm(alpha_0), packed([4], 4, ROWS), IDS, jax.random.key(3), sample=sample)
    sees = np.asarray(materialize(inputs.mask, inputs.facts))[:, 4:, :4]
    place = np.asarray(inputs.facts.position)[:, :4]
    cost = np.zeros((ROWS, 3))
    row, slot = np.nonzero(np.asarray(inputs.target_index_BT)[:, 4:] >= 0)
    seen = np.where(sees[row, slot] & (place[row] > 0), 1 << np.maximum(place[row] - 1, 0), 0).sum(1)
    token = np.asarray(inputs.target_index_BT)[row, 4 + slot] % 4 - 1
    cost[row, token] = NLL[seen, token] * np.asarray(inputs.score_weight_BT)[row, 4 + slot]
    error = cost.std(0) / math.sqrt(ROWS)
    assert np.all(np.abs(cost.mean(0) - eso_bound(alpha_0)) < 4 * error + 1e-3)
    assert np.all(error < 0.02)


def test_samples_of_eso_lm_take_different_orders():
    def order(number):
        drawn = Sample(number, 3)
        inputs = single.build("eso", eso_lm(1.0), packed([4], 4, ROWS), IDS, jax.random.key(0), sample=drawn)
        return np.asarray(inputs.inputs_BT)[:, :4]

    for one, other in itertools.combinations(map(order, range(3)), 2):
        assert np.mean((one != other).any(1)) == pytest.approx(5 / 6, abs=0.03), "one of six orders comes up twice"


def test_a_small_share_of_diffusion_is_almost_left_to_right():
    inputs = single.build("eso", eso_lm(1e-6), packed([4], 4, ROWS), IDS, jax.random.key(0))
    np.testing.assert_array_equal(inputs.inputs_BT[:, :4], packed([4], 4, ROWS).tokens_BT)
