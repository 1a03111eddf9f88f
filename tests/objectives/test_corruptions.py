"""The Monte-Carlo forms of one bound against its enumeration, and what masked LM does to the tokens it selects."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import eso_lm, masked_diffusion, masked_lm, uniform_diffusion
from hybridlm.facts.head import Head
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import Ids, Text
from hybridlm.scoring.reductions import vocabulary_reductions

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


def test_one_pass_in_random_order_has_the_same_expectation_token_by_token(many, ids):
    """Each token is predicted once, given those before it in the order: masked are it and those behind it."""
    inputs = single.build("one", eso_lm(1.0), many, ids, jax.random.key(0))
    token_RT = np.asarray(inputs.facts.position)[:, 1 : L + 1] - 1
    masked_RT = np.cumsum((1 << token_RT)[:, ::-1], axis=1)[:, ::-1]
    cost = np.zeros((ROWS, L))
    np.put_along_axis(cost, token_RT, NLL[masked_RT, token_RT], axis=1)
    assert np.all(np.abs(cost.mean(0) - truth()) < 4 * cost.std(0) / math.sqrt(ROWS))
    assert np.all(np.asarray(inputs.score_weight_BT)[:, L + 2 :] == 1)


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


@pytest.mark.parametrize("span", [1.0, 2.0])
def test_masked_lm_selects_its_share_in_runs_of_up_to_twice_the_mean_less_one(span, ids):
    """Runs of 1 to 2 span - 1 tokens, each selected whole: of two neighbours how often are both selected?"""
    ones = jnp.ones((64, 512), jnp.int32)
    text = Text(ones * 7, ones, ones * jnp.arange(512), {})
    objective = masked_lm(0.2, span=span)
    inputs = single.build("one", objective, text, ids, jax.random.key(0))
    is_selected = np.asarray(inputs.target_index_BT)[:, 1:] >= 0
    assert is_selected.mean() == pytest.approx(0.2, abs=0.01)
    both = (is_selected[:, 1:] & is_selected[:, :-1]).mean()
    in_one_run = 1 - 1 / span  # a run of mean length `span` ends once, so that many neighbours share one
    assert both == pytest.approx(0.2 * in_one_run + 0.04 * (1 - in_one_run), abs=0.006)


def test_uniform_diffusion_of_one_token_costs_its_entropy_under_the_true_distribution():
    """One token has nothing it could be inferred from, so the best prediction is its frequency, and the bound tight."""
    p_V = np.array([0, 0, 0, 0.5, 0.3, 0.15, 0.05])
    ids = Ids(mask=1, never=(0, 1, 2), size=7)
    tokens = np.repeat(np.arange(7), (p_V * 20000).round().astype(int))
    ones = jnp.ones((len(tokens), 2), jnp.int32)
    text = Text(jnp.stack([ones[:, 0] * 2, jnp.asarray(tokens, jnp.int32)], 1), ones, ones * jnp.arange(2), {})
    for sample in (None, Sample(1, 4)):
        inputs = single.build("one", uniform_diffusion("cosine"), text, ids, jax.random.key(0), sample=sample)
        head = Head(jnp.log(jnp.maximum(jnp.asarray(p_V, jnp.float32), 1e-9))[:, None], never_V=jnp.asarray(p_V == 0))
        of = (inputs.targets_BT, inputs.inputs_BT, inputs.loss.f, (inputs.noise_BT,))
        reduced = vocabulary_reductions(jnp.ones((*text.tokens_BT.shape, 1)), head, *of, chunk=9999)
        cost = np.asarray(inputs.score_weight_BT * inputs.loss(reduced, inputs), np.float64)[:, 1]
        entropy = -(p_V[3:] * np.log(p_V[3:])).sum()
        assert abs(cost.mean() - entropy) < 4 * cost.std() / math.sqrt(len(tokens))
        assert cost.std() / math.sqrt(len(tokens)) < 0.05 * entropy


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


def stops_short(t):
    """A schedule of one's own that leaves a tenth of the text untouched."""
    return 0.9 * t


def test_a_schedule_that_stops_short_trains_and_does_not_score(text, ids):
    objective = uniform_diffusion(f"{__name__}:stops_short")
    inputs = single.build("one", objective, text, ids, jax.random.key(0))
    assert 0 < float(inputs.noise_BT.max()) <= 0.9
    with pytest.raises(ConfigError, match="would lack the reconstruction or the prior term and be no bound. It may be"):
        single.build("one", objective, text, ids, jax.random.key(0), sample=Sample(0, 4))
