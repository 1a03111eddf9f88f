"""The Monte-Carlo forms of one bound against its enumeration, and what masked LM does to the tokens it selects."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.objective import masked_diffusion, masked_lm
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import Text

L, ROWS = 4, 4096
NLL = np.random.default_rng(0).uniform(0.5, 4, size=(2**L, L))
"""What a model that knows nothing but who is masked would pay for each of four tokens, by set of masked tokens."""


def truth():
    """Cost of each token averaged over l uniform on 1..4 and all sets of l tokens, each masked token weighing 4 / l."""
    total = np.zeros(L)
    for count in range(1, L + 1):
        for masked in itertools.combinations(range(L), count):
            cost = NLL[sum(1 << i for i in masked)]
            total[list(masked)] += cost[list(masked)] * (L / count) / math.comb(L, count) / L
    return total


@pytest.fixture(scope="module")
def many():
    """The same document of BOS and four tokens, thousands of times."""
    ones = jnp.ones((ROWS, L + 1), jnp.int32)
    return Text(ones * jnp.asarray([2, 3, 4, 5, 6]), ones, ones * jnp.arange(L + 1), {})


def costs(objective, text, ids, seed, sample=None):
    """Weighted cost of every token of every row, and the weights."""
    inputs = single.build("one", objective, text, ids, jax.random.key(seed), sample=sample)
    is_masked = np.asarray(inputs.inputs_BT)[:, 1:] == ids.mask
    weight = np.asarray(inputs.score_weight_BT, np.float64)[:, 1:]
    assert not np.any(weight[~is_masked])
    return weight * NLL[is_masked @ (1 << np.arange(L))], weight


@pytest.mark.parametrize(
    ("schedule", "sample"),
    [("linear", None), ("cosine", None), ("polynomial:2", None), ("linear", Sample(0, 1)), ("linear", Sample(2, 5))],
)
def test_every_form_of_the_bound_has_the_enumerated_expectation_token_by_token(schedule, sample, many, ids):
    cost, weight = costs(masked_diffusion(schedule), many, ids, 0, sample)
    # rows share an even sequence of times, so that the error of independent rows is more than the true one
    error = cost.std(0) / math.sqrt(ROWS)
    assert np.all(np.abs(cost.mean(0) - truth()) < 4 * error)
    assert np.all(error < 0.1 * truth())
    assert abs(weight.mean() - 1) < 4 * weight.std() / math.sqrt(weight.size)


def test_the_fixed_count_form_varies_less(many, ids):
    continuous, _ = costs(masked_diffusion(), many, ids, 1)
    fixed, _ = costs(masked_diffusion(), many, ids, 1, Sample(0, 1))
    assert fixed.sum(1).std() < 0.5 * continuous.sum(1).std()


@pytest.mark.parametrize("samples", [4, 8])
def test_samples_of_one_document_take_every_count_equally_often(samples, text, ids):
    """Row 3 holds seven targets and row 1 eleven; K samples spread over the counts as evenly as they can."""
    masked = np.stack(
        [
            single.build("one", masked_diffusion(), text, ids, jax.random.key(5), sample=Sample(k, samples)).inputs_BT
            == ids.mask
            for k in range(samples)
        ]
    )
    for row, size in ((3, 7), (1, 11)):
        counts = np.bincount(masked[:, row].sum(1), minlength=size + 1)
        assert counts[0] == 0
        assert counts.sum() == samples
        assert counts.max() <= math.ceil(samples / size)
    is_within = np.all(masked[:, None, 1] <= masked[None, :, 1], axis=-1)
    assert not np.all(is_within | is_within.T), "each sample must mask other tokens, not more of the same"


def test_masked_lm_selects_masks_keeps_and_replaces_by_the_given_shares(many, ids):
    objective = masked_lm(0.4, keep=0.2, random=0.3)
    inputs = single.build("one", objective, many, ids, jax.random.key(2))
    is_target, before, after = (np.asarray(x) for x in (many.is_target_BT, many.tokens_BT, inputs.inputs_BT))
    is_selected = np.asarray(inputs.target_index_BT) >= 0

    def close(share, wanted, count):
        return abs(share - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / count)

    selected = is_selected.sum()
    replaced = after[is_selected & (after != ids.mask) & (after != before)]
    same_by_chance = 1 / len(ids.ordinary)
    assert close(is_selected[is_target].mean(), 0.4, is_target.sum())
    assert close((after == ids.mask)[is_selected].mean(), 0.5, selected)
    assert close((after == before)[is_selected].mean(), 0.2 + 0.3 * same_by_chance, selected)
    assert close(len(replaced) / selected, 0.3 * (1 - same_by_chance), selected)
    assert set(replaced) == set(ids.ordinary)
    assert abs(float(inputs.train_weight_BT.sum()) - 1) < 4 * math.sqrt(0.6 / 0.4 / is_target.sum())
