"""Which masks cuDNN knows, and that its own terms for them mean the same (its kernel runs in test_on_gpu.py)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.attention import cudnn, dense
from hybridlm.attention.cudnn import Pattern, pattern
from hybridlm.facts import tokens

T = 12
PATTERNS = [
    (masks.bidirectional(), Pattern(False, None, False)),
    (masks.causal(), Pattern(True, None, False)),
    (masks.causal() & masks.bidirectional(), Pattern(True, None, False)),
    (~masks.custom(lambda q, k: k.index > q.index), Pattern(True, None, False)),
    (masks.causal() & masks.window(5), Pattern(True, 5, False)),
    (masks.window(5), Pattern(True, 5, False)),
    (masks.causal() & masks.window(5) & masks.window(3), Pattern(True, 3, False)),
    (masks.window(0), Pattern(True, 0, False)),
    (masks.padding(), Pattern(False, None, True)),
    (masks.padding() & masks.causal(), Pattern(True, None, True)),
]
NOT_NATIVE = [
    masks.window(5, 1),
    masks.causal() & masks.window(5) & masks.padding(),
    masks.causal() & masks.same_segment(),
    masks.causal() | masks.prefix(3),
    masks.causal() | masks.padding(),
    ~masks.causal(),
    ~masks.bidirectional(),
    masks.valid(),
    masks.unified(),
    masks.causal() & masks.custom(lambda q, k: q.index - k.index <= -2),
    masks.causal() & masks.dense(np.ones((T, T), bool)),
]


@pytest.mark.parametrize(("mask", "expected"), PATTERNS, ids=repr)
def test_pattern(mask, expected):
    assert pattern(mask) == expected


@pytest.mark.parametrize("mask", NOT_NATIVE, ids=repr)
def test_no_pattern(mask):
    assert pattern(mask) is None


@pytest.mark.parametrize("mask", {pattern: mask for mask, pattern in PATTERNS if pattern.left != 3}.values(), ids=repr)
def test_the_pattern_means_the_mask(mask, monkeypatch):
    """XLA takes the flags that cuDNN takes; lengths are nothing, a part, the whole row, and more than there is."""
    native = jax.nn.dot_product_attention

    def on_this_machine(*arrays, implementation, **flags):
        assert implementation == "cudnn"
        return native(*arrays, implementation="xla", **flags)

    ones = jnp.ones((4, T), jnp.int32)
    length = jnp.broadcast_to(jnp.array([[0], [7], [T], [T + 5]], jnp.int32), ones.shape)
    facts = tokens.from_columns(ones, ones, extra={"length": length})
    arrays = [jnp.asarray(array, jnp.float32) for array in np.random.default_rng(0).standard_normal((4, 4, T, 2, 8))]

    def run(backend, q, k, v, cotangent):
        out, pull = jax.vjp(functools.partial(backend.attend, backend.prepare(mask, facts, None), scale=0.5), q, k, v)
        return out, *pull(cotangent)

    expected = run(dense, *arrays)
    monkeypatch.setattr(jax.nn, "dot_product_attention", on_this_machine)
    for found, wanted in zip(run(cudnn, *arrays), expected):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
