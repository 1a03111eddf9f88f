"""Masking again keeps what each token is distributed like, and the share of masked tokens on the schedule."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.diffusion import schedules
from hybridlm.sampling import canvas as canvases
from hybridlm.sampling.masked import Ancestral
from hybridlm.sampling.remask import Remask
from tests.sampling.chain import LENGTH, MASK, V, blank, distance, noise_floor, sample

ROWS = 10_000
LINEAR = schedules.from_name("linear")
P_V = np.array([0.6, 0.3, 0.1])


def alone(tokens_BT, facts, noise_BT):
    """A prediction that is the same everywhere: tokens of a text that do not depend on each other."""
    return jnp.broadcast_to(jnp.log(jnp.array([*P_V, 1.0])), (*tokens_BT.shape, V + 1))


@pytest.mark.parametrize(
    "remask",
    [Remask(eta=0.2), Remask(kind="rescale", eta=0.5), Remask(kind="rescale", eta=1.0), Remask(eta=0.3, hold=0.4)],
    ids=["cap", "rescale", "all", "hold"],
)
def test_marginals_are_kept_in_few_steps_and_masks_follow_the_schedule(remask):
    """With tokens independent of each other nothing is lost by writing several at once, so few steps are exact."""
    sampler = Ancestral(steps=8, schedule=LINEAR, remask=remask)
    canvas, trace = sample(sampler, blank(ROWS), predict=alone, record=True)
    frequency_TV = np.asarray(canvas.tokens_BT[..., None] == np.arange(V + 1)).mean(0)
    np.testing.assert_allclose(frequency_TV, np.tile([*P_V, 0], (LENGTH, 1)), atol=0.02)
    masked_N = np.asarray(trace.tokens_NBT == MASK).mean((1, 2))
    np.testing.assert_allclose(masked_N, remask.times(8), atol=0.015)
    is_rewritten = (np.diff(np.asarray(trace.tokens_NBT == MASK).astype(int), axis=0) == 1).any()
    assert is_rewritten


def test_a_chain_is_sampled_right_in_many_steps():
    few, many = (Ancestral(steps=steps, schedule=LINEAR, remask=Remask(eta=0.02)) for steps in (2, 64))
    rows = 4000
    floor = noise_floor(rows)
    assert distance(sample(many, blank(rows))[0].tokens_BT) < 3 * floor
    assert distance(sample(few, blank(rows))[0].tokens_BT) > 5 * floor


def test_given_tokens_are_never_masked():
    tokens_BT = jnp.tile(jnp.array([0, MASK, MASK, 2]), (64, 1))
    sampler = Ancestral(steps=8, schedule=LINEAR, remask=Remask(kind="rescale", eta=1.0))
    canvas, trace = sample(sampler, canvases.start(tokens_BT, MASK), record=True)
    assert (np.asarray(trace.tokens_NBT)[..., [0, 3]] == [0, 2]).all()
    assert not (canvas.tokens_BT == MASK).any()


def test_the_least_sure_tokens_are_masked_first():
    """Three written tokens and a masked one; shares are a softmax of minus confidence over what is written."""
    canvas = canvases.start(jnp.array([[MASK, MASK, MASK, MASK, 2]]), MASK)
    where_BT = jnp.array([[True, True, True, False, False]])
    canvas = canvases.write(canvas, where_BT, jnp.zeros((1, 5), int), jnp.zeros((1, 5, V)))
    canvas = dataclasses.replace(canvas, confidence_BT=jnp.array([[0.9, 0.5, 0.1, 0.0, 1.0]]))
    even = Remask(kind="rescale", eta=0.5).sigma(canvas, jnp.array(0.5), jnp.array(0.25))
    assert float(even[0, 0]) == pytest.approx(0.5 * 0.25 / 0.5)
    shares_T = Remask(kind="rescale", eta=0.5, by_confidence=True).sigma(canvas, jnp.array(0.5), jnp.array(0.25))[0]
    weights = np.exp([-0.9, -0.5, -0.1])
    np.testing.assert_allclose(shares_T, [*(0.25 * weights / weights.sum()), 0, 0], rtol=1e-5)


def test_time_stands_still_where_it_is_held():
    times = Remask(eta=0.1, hold=0.2).times(20)
    np.testing.assert_allclose(times[[0, 9, 12, 19, 20]], [1, 0.2, 0.2, 0.2, 0])
    np.testing.assert_allclose(Remask(eta=0.1).times(4), [1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "loop"}, "remask.kind='loop' is not one of cap, rescale"),
        ({"eta": 1.5}, "remask.eta=1.5 must lie between 0, nothing is masked again, and 1"),
        ({"eta": 0.5, "hold": 1.0}, "remask.hold=1.0 is a time between clean text at 0 and noise at 1"),
    ],
)
def test_a_remasking_that_could_not_be_is_refused(settings, message):
    with pytest.raises(ConfigError) as raised:
        Remask(**settings)
    assert message in str(raised.value)
