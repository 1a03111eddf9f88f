"""Two predictions as one: what is drawn follows the joined distribution, and a closed gate is one of the two."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.combine.rules import linear, log_linear
from hybridlm.config.errors import ConfigError
from hybridlm.sampling import canvas as canvases
from hybridlm.sampling.combined import joined, judged, refine
from hybridlm.sampling.masked import Ordered
from tests.sampling.chain import (
    FACTS,
    INITIAL_V,
    LENGTH,
    MASK,
    TEXTS_XT,
    TRANSITION_VV,
    V,
    blank,
    distance,
    keys,
    noise_floor,
    perfect,
    sample,
)

ROWS = 6000
OTHER_V = np.array([0.1, 0.2, 0.7])


def other(tokens_BT, facts, noise_BT):
    """An expert that always says the same, and puts half of its probability on the mask token."""
    logits_V = jnp.log(jnp.array([*OTHER_V, 1.0]))
    return jnp.broadcast_to(logits_V, (*tokens_BT.shape, V + 1))


def mean_of(share):
    return lambda a, b: linear(a, b, jnp.full(a.shape[:2], share))


def _law(rule):
    """p of every text when each token's conditional joins the chain's with `OTHER_V`."""
    p_X = rule(INITIAL_V, OTHER_V)[TEXTS_XT[:, 0]]
    joined_VV = np.array([rule(row, OTHER_V) for row in TRANSITION_VV])
    return p_X * joined_VV[TEXTS_XT[:, :-1], TEXTS_XT[:, 1:]].prod(1)


@pytest.mark.parametrize("rule", ["linear", "log_linear"])
def test_left_to_right_is_the_chain_rule_of_the_joined_prediction(rule):
    def by_hand(a, b):
        p = 0.25 * a + 0.75 * b if rule == "linear" else a**0.25 * b**0.75
        return p / p.sum()

    join = {"linear": linear, "log_linear": log_linear}[rule]
    predict = joined(lambda a, b: join(a, b, jnp.full(a.shape[:2], 0.25)), perfect, other, MASK)
    canvas, _ = sample(Ordered(steps=LENGTH, order="left_to_right"), blank(ROWS), predict=predict)
    p_X = _law(by_hand)
    assert p_X.sum() == pytest.approx(1)
    assert distance(canvas.tokens_BT, p_X) < 2 * noise_floor(ROWS, p_X)
    assert distance(canvas.tokens_BT) > 0.1


def test_a_closed_gate_is_one_of_the_two():
    sampler = Ordered(steps=2, order="confidence")
    for share, expert in ((1.0, perfect), (0.0, other)):
        both, _ = sample(sampler, blank(32), predict=joined(mean_of(share), perfect, other, MASK))
        alone, _ = sample(sampler, blank(32), predict=expert)
        assert both.tokens_BT.tolist() == alone.tokens_BT.tolist()


def _draft():
    """Two texts of which the chain finds tokens 2 and 3 of the first unlikely: it goes 0 0 1 1, and then 2 2 0 0."""
    tokens_BT = jnp.array([[0, 0, 1, 1], [2, 2, 0, 0]])
    canvas = dataclasses.replace(canvases.start(tokens_BT, MASK), is_open_BT=jnp.array([[False, True, True, True]] * 2))

    def left_alone(tokens_BT, facts, noise_BT):
        p_BTV = jnp.asarray(TRANSITION_VV)[jnp.roll(tokens_BT, 1, axis=1)]
        return jnp.pad(jnp.log(p_BTV), ((0, 0), (0, 0), (0, 1)))

    return judged(canvas, left_alone, FACTS)


def test_a_draft_is_judged_token_by_token():
    """p(0|0) p(1|0) p(1|1), and p(2|2) p(0|2) p(0|0); what was given stays sure."""
    np.testing.assert_allclose(_draft().confidence_BT, [[1, 0.85, 0.1, 0.15], [1, 0.1, 0.7, 0.85]], rtol=1e-5)


def test_only_unsure_tokens_are_written_anew():
    draft = _draft()
    changed = np.zeros((2, 4), int)
    run = jax.jit(lambda keys_B: refine(Ordered(steps=2), perfect, draft, FACTS, keys_B, below=0.5))
    for seed in range(20):
        refined, fraction_B = run(keys(seed, 2))
        changed += np.asarray(refined.tokens_BT != draft.tokens_BT)
    assert (changed > 0).astype(int).tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]
    np.testing.assert_allclose(fraction_B, [2 / 3, 1 / 3])
    assert int(refined.calls) == 2


def test_a_draft_that_is_sure_enough_is_returned_as_it_is():
    draft = _draft()
    refined, fraction_B = refine(Ordered(steps=2), perfect, draft, FACTS, keys(0, 2), below=0.05)
    assert refined.tokens_BT.tolist() == draft.tokens_BT.tolist()
    assert fraction_B.tolist() == [0, 0] and int(refined.calls) == 0


def test_a_confidence_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="below a confidence between 0, none, and 1, nearly all; below=1.5"):
        refine(Ordered(steps=2), perfect, _draft(), FACTS, keys(0, 2), below=1.5)
