"""The dense backend against a loop in float64, and at the edges where attention usually goes wrong."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import attention, masks
from hybridlm.facts import tokens

B, T, S, K = 2, 5, 7, 8


def random(seed, *shapes, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def loop(q_BTHK, k_BSJK, v_BSJK, sees_BTS, scale):
    """softmax(scale q·k)·v over the visible keys, one query and head at a time."""
    q, k, v = (np.asarray(x, np.float64) for x in (q_BTHK, k_BSJK, v_BSJK))
    out = np.zeros_like(q)
    group = q.shape[2] // k.shape[2]
    for b, t, h in np.ndindex(*q.shape[:3]):
        visible = np.flatnonzero(sees_BTS[b, t])
        if visible.size:
            scores = scale * k[b, visible, h // group] @ q[b, t, h]
            weights = np.exp(scores - scores.max())
            out[b, t, h] = weights / weights.sum() @ v[b, visible, h // group]
    return out


@functools.partial(jax.jit, static_argnames=("mask", "scale"))
def attend(q, k, v, mask, q_facts, k_facts=None, scale=None):
    plan = attention.plan(mask, q_facts, k_facts, dtype=q.dtype, head_width=K, backend="dense")
    return plan.attend(q, k, v, scale=scale)


def packed(*segments):
    """Rows of tokens with these segment ids; positions and order do not matter here."""
    segment = jnp.array(segments, jnp.int32)
    return tokens.from_columns(segment, jnp.zeros_like(segment))


@pytest.mark.parametrize("J", [4, 2, 1])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_equals_the_loop_for_full_grouped_and_single_key_heads(J, scale):
    sees = np.random.default_rng(0).random((T, S)) < 0.5
    sees[2] = False
    q, k, v = random(J, (B, T, 4, K), (B, S, J, K), (B, S, J, K))
    out = attend(q, k, v, masks.dense(sees), tokens.one_document(T), tokens.one_document(S), scale)
    expected = loop(q, k, v, np.broadcast_to(sees, (B, T, S)), K**-0.5 if scale is None else scale)
    np.testing.assert_allclose(out, expected, atol=2e-6)
    assert not expected[:, 2].any()


def test_bfloat16_stays_near_the_loop_and_keeps_its_type():
    q, k, v = random(1, (B, S, 2, K), (B, S, 2, K), (B, S, 2, K), dtype=jnp.bfloat16)
    out = attend(q, k, v, masks.causal(), tokens.one_document(S))
    assert out.dtype == jnp.bfloat16
    expected = loop(q, k, v, np.broadcast_to(np.tri(S), (B, S, S)), K**-0.5)
    np.testing.assert_allclose(np.asarray(out, np.float64), expected, atol=2e-2)


def test_a_query_that_sees_nothing_gives_zeros_and_takes_no_gradient():
    facts = packed([1, 1, 1, 0, 0], [0, 0, 0, 0, 0])
    q, k, v, cotangent = random(2, *[(B, T, 2, K)] * 4)
    out, pullback = jax.vjp(lambda *qkv: attend(*qkv, masks.unified(), facts), q, k, v)
    gradients = pullback(cotangent)
    seen = np.asarray(facts.valid, bool)
    assert np.all(np.asarray(out)[~seen] == 0)
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.all(np.asarray(gradient)[~seen] == 0)
        assert np.any(np.asarray(gradient)[0, 1] != 0)


def test_hidden_tokens_change_nothing():
    facts = packed([1, 1, 1, 2, 2])
    q, k, v = random(3, *[(1, T, 2, K)] * 3)
    loud = jnp.where(jnp.arange(T) < 3, 1, 1e4)[:, None, None]
    quiet, disturbed = (attend(q, k * x, v * x, masks.same_segment(), facts) for x in (1, loud))
    np.testing.assert_array_equal(quiet[:, :3], disturbed[:, :3])


def test_packed_documents_equal_separate_sequences():
    q, k, v = random(4, *[(1, T, 2, K)] * 3)
    out = attend(q, k, v, masks.causal() & masks.same_segment(), packed([1, 1, 2, 2, 2]))
    for part in slice(0, 2), slice(2, 5):
        facts = tokens.one_document(part.stop - part.start)
        alone = attend(q[:, part], k[:, part], v[:, part], masks.causal(), facts)
        np.testing.assert_allclose(out[:, part], alone, atol=1e-6)


def test_one_query_at_an_offset_is_the_row_of_the_full_matrix():
    q, k, v = random(5, *[(B, S, 2, K)] * 3)
    mask = masks.causal() & masks.window(4)
    full = attend(q, k, v, mask, tokens.one_document(S))
    for at in (0, 4, S - 1):
        query = tokens.one_document(1, offset=at)
        one = attend(q[:, at : at + 1], k, v, mask, query, tokens.one_document(S))
        np.testing.assert_allclose(one[:, 0], full[:, at], atol=1e-6)


def test_padding_equals_a_shorter_sequence():
    q, k, v = random(6, *[(1, S, 2, K)] * 3)
    length = jnp.full((1, S), 4, jnp.int32)
    ones = jnp.ones((1, S), jnp.int32)
    facts = tokens.from_columns(ones, ones, extra={"length": length})
    short = attend(q, k[:, :4], v[:, :4], masks.bidirectional(), tokens.one_document(S), tokens.one_document(4))
    np.testing.assert_allclose(attend(q, k, v, masks.padding(), facts), short, atol=1e-6)


def test_mixing_keeps_the_state():
    q, k, v = random(7, *[(B, T, 2, K)] * 3)
    facts = packed([1, 1, 1, 2, 2])
    plan = attention.plan(masks.unified(), facts, dtype=q.dtype, head_width=K)
    out, state = plan.mix(3, q, k, v, {"cache": q})
    np.testing.assert_allclose(out, attend(q, k, v, masks.unified(), facts), atol=1e-6)
    assert state["cache"] is q


def test_new_documents_do_not_retrace():
    q, k, v = random(8, *[(B, T, 1, K)] * 3)
    before = attend._cache_size()
    for segments in [1, 1, 1, 2, 2], [1, 2, 2, 2, 0], [3, 3, 3, 3, 3]:
        attend(q, k, v, masks.unified(), packed(segments))
    assert attend._cache_size() == before + 1
