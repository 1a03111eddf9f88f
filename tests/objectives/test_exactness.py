"""What makes a loss a likelihood bound, mistake by mistake: each test is a way in which published code went wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.objective import (
    autoregressive,
    block_diffusion,
    masked_diffusion,
    shared_ar_diffusion,
    uniform_diffusion,
)
from hybridlm.diffusion import schedules
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import Text

ROWS, LENGTH = 512, 9


@pytest.fixture(scope="module")
def many():
    """The same document of BOS and eight tokens, hundreds of times."""
    ones = jnp.ones((ROWS, LENGTH), jnp.int32)
    return Text(ones * jnp.asarray([2, *range(3, 11)]), ones, ones * jnp.arange(LENGTH), {})


def built(objective, text, ids, seed=0, sample=None):
    return single.build("one", objective, text, ids, jax.random.key(seed), sample=sample)


def masked(inputs, ids):
    """Who is masked, in the last stream."""
    return np.asarray(inputs.inputs_BT)[:, -LENGTH:] == ids.mask


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial:2", "polynomial:0.5"])
def test_all_is_clean_at_time_0_and_all_is_noise_at_time_1(name):
    """Or the bound would lack its reconstruction and prior terms."""
    schedule = schedules.from_name(name)
    assert (float(schedule.one_minus_alpha(0.0)), float(schedule.one_minus_alpha(1.0))) == (0, 1)


@pytest.mark.parametrize("objective", [masked_diffusion(), uniform_diffusion()], ids=["masked", "uniform"])
@pytest.mark.parametrize("sample", [None, Sample(1, 3)], ids=["training", "sample"])
def test_no_noise_level_is_left_out_near_either_end(objective, sample, many, ids):
    """A smallest time of 0.001 would drop a thousandth of every token's cost.

    A sample of masked diffusion counts: one to all eight tokens are masked, and never none.
    """
    noise = np.concatenate([built(objective, many, ids, seed, sample).noise_BT[:, 1] for seed in range(12)])
    if sample and objective == masked_diffusion():
        np.testing.assert_allclose(np.unique(noise), np.arange(1, LENGTH) / (LENGTH - 1), rtol=1e-6)
    else:
        assert 0 < noise.min() < 0.0008 and 0.9992 < noise.max() <= 1


@pytest.mark.parametrize("passes", [1, 4])
def test_times_are_even_over_the_whole_step_and_over_each_pass_of_it(passes, many, ids):
    """Drawn for each device or pass by itself, the sequence would lose its evenness."""
    noise = np.asarray(built(masked_diffusion(), many, ids).noise_BT)[:, 1]
    for number in range(passes):
        level = np.sort(noise[number::passes])
        count = len(level)
        gap = np.abs(level - (np.arange(count) + 0.5) / count).max()
        assert gap < 4 / count, "independent times would leave about 1 / sqrt(count)"


def test_a_loss_is_divided_by_what_may_be_masked_never_by_what_happened_to_be(many, ids):
    for objective in (masked_diffusion(), block_diffusion(4)):
        inputs = built(objective, many, ids)
        train, score = np.asarray(inputs.train_weight_BT), np.asarray(inputs.score_weight_BT)
        np.testing.assert_allclose(train, score / (ROWS * (LENGTH - 1)), rtol=1e-6)


def test_visible_tokens_cost_nothing_and_the_mask_is_never_predicted(many, ids):
    for objective in (masked_diffusion(), block_diffusion(4)):
        inputs = built(objective, many, ids)
        is_free = np.asarray(inputs.score_weight_BT)[:, -LENGTH:] == 0
        np.testing.assert_array_equal(is_free, ~masked(inputs, ids))
        assert not np.any(np.asarray(inputs.targets_BT) == ids.mask)
    assert ids.mask in ids.never


def test_who_is_masked_does_not_depend_on_what_a_token_is(many, ids):
    """Else being masked would say something of the token, and plain cross-entropy would be no bound."""
    other = dataclasses.replace(many, tokens_BT=many.tokens_BT[:, ::-1])
    for objective in (masked_diffusion("cosine"), block_diffusion(4), block_diffusion(4, rates=(0.2, 0.7))):
        one, two = (masked(built(objective, text, ids), ids) for text in (many, other))
        np.testing.assert_array_equal(one, two)


def test_each_block_has_a_time_of_its_own_and_may_stay_without_a_mask(many, ids):
    """One time a sequence, or at least one mask a block, would train but not bound."""
    inputs = built(block_diffusion(2), many, ids)
    noise, is_masked = np.asarray(inputs.noise_BT)[:, LENGTH:], masked(inputs, ids)
    blocks = [slice(first, first + 2) for first in range(2, LENGTH - 1, 2)]
    assert all(np.all(noise[:, b].min(1) == noise[:, b].max(1)) for b in blocks)
    assert len(np.unique(np.concatenate([noise[:, b.start] for b in blocks]))) > 0.99 * ROWS * len(blocks)
    share = np.mean([~is_masked[:, b].any(1) for b in blocks])
    assert share == pytest.approx(1 / 3, abs=0.05), "the mean of (1 - t)^2"


@pytest.mark.parametrize("change", [{"corruption": "all"}, {"rates": (1.0, 1.0)}], ids=["all", "clipped to 1"])
def test_blocks_of_one_predict_what_autoregression_does_and_weigh_the_same(change, many, ids):
    """BOS is left out of both; every token is masked, with weight 1."""
    plain, one_by_one = built(autoregressive(), many, ids), built(block_diffusion(1, **change), many, ids)
    for field in ("target_index_BT", "targets_BT", "train_weight_BT", "score_weight_BT"):
        left, own = np.asarray(getattr(plain, field)), np.asarray(getattr(one_by_one, field))[:, LENGTH:]
        np.testing.assert_allclose(left[:, :-1], own[:, 1:], err_msg=field)
    np.testing.assert_array_equal(masked(one_by_one, ids)[:, 1:], True)


def test_every_sample_of_blocks_of_one_is_the_exact_likelihood(many, ids):
    exact = built(block_diffusion(1, corruption="all"), many, ids)
    for number in range(2):
        drawn = built(block_diffusion(1), many, ids, sample=Sample(number, 2))
        np.testing.assert_array_equal(drawn.score_weight_BT, exact.score_weight_BT)
        np.testing.assert_array_equal(drawn.inputs_BT, exact.inputs_BT)


def test_clipped_rates_stay_within_their_range_weigh_one_and_leave_scores_alone(many, ids):
    clipped, whole = block_diffusion(8, rates=(0.3, 0.8)), block_diffusion(8)
    inputs = built(clipped, many, ids)
    noise = np.asarray(inputs.noise_BT)[:, LENGTH + 1]
    assert 0.3 < noise.min() < 0.31
    assert 0.79 < noise.max() <= 0.8
    assert float(inputs.train_weight_BT.sum()) == pytest.approx(1, abs=0.05)
    scores = (built(objective, many, ids, sample=Sample(0, 2)) for objective in (clipped, whole))
    np.testing.assert_array_equal(*(inputs.score_weight_BT for inputs in scores))


def test_two_losses_in_one_pass_are_those_of_either_model_alone(many, ids):
    both = built(shared_ar_diffusion(4, 0.25), many, ids)
    clean, noisy = (np.split(np.asarray(x), 2, axis=1) for x in (both.train_weight_BT, both.target_index_BT))
    left, block = built(autoregressive(), many, ids), built(block_diffusion(4), many, ids)
    np.testing.assert_allclose(clean[0], 0.25 * left.train_weight_BT)
    np.testing.assert_array_equal(noisy[0], left.target_index_BT)
    np.testing.assert_allclose(clean[1], block.train_weight_BT[:, LENGTH:])
    np.testing.assert_array_equal(both.inputs_BT, block.inputs_BT)
    assert np.asarray(both.part_BX).tolist() == [[1, 0]] * ROWS
    assert [(part.name, part.kind.label) for part in both.parts] == [("one", "share"), ("one.clean", "exact")]
