"""cuDNN against the dense reference on a real card, forward and backward, in bfloat16.

JAX_PLATFORMS=cuda python -m pytest -n0 -m gpu tests/attention/test_on_gpu.py
JAX_PLATFORMS=cuda python tests/attention/test_on_gpu.py          where there is no pytest
"""

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm import attention, masks
from hybridlm.facts import tokens

try:
    import pytest
except ImportError:  # run as a script
    pass
else:
    pytestmark = pytest.mark.gpu

    @pytest.fixture(autouse=True)
    def _needs_a_gpu():
        if jax.default_backend() != "gpu":
            pytest.skip(f"cuDNN needs an NVIDIA GPU, and this is {jax.default_backend()}")


NEAR = 0.015
"""The largest relative error (of norms); one rounding to bfloat16 costs up to 0.004."""


def compare(mask, *, T=256, H=4, J=4, K=64, lengths=(0, 1, 77, 256)):
    """Output and gradients of cuDNN, which must be the router's own choice, against the reference in float32."""
    B = len(lengths)
    length = jnp.broadcast_to(jnp.array(lengths, jnp.int32)[:, None], (B, T))
    ones = jnp.ones((B, T), jnp.int32)
    facts = tokens.from_columns(ones, ones, extra={"length": length})
    shapes = [(B, T, H, K), (B, T, J, K), (B, T, J, K), (B, T, H, K)]
    keys = jax.random.split(jax.random.key(T + K), len(shapes))
    arrays = [jax.random.normal(key, shape, jnp.bfloat16) for key, shape in zip(keys, shapes)]

    @jax.jit
    def fused(q, k, v, cotangent):
        plan = attention.plan(mask, facts, dtype=q.dtype, head_width=K)
        assert plan.backend.NAME == "cudnn"
        out, pull = jax.vjp(plan.attend, q, k, v)
        return out, *pull(cotangent)

    @jax.jit
    def reference(q, k, v, cotangent):
        out, pull = jax.vjp(attention.plan(mask, facts, dtype=q.dtype, head_width=K, backend="dense").attend, q, k, v)
        return out, *pull(cotangent)

    found = fused(*arrays)
    with jax.default_matmul_precision("highest"):
        expected = reference(*(array.astype(jnp.float32) for array in arrays))
    hidden = ~np.asarray(masks.materialize(mask, facts))
    for name, got, want in zip(("out", "dq", "dk", "dv"), found, expected):
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        assert np.isfinite(got).all(), f"{name} of {mask!r} is not finite"
        # a query that sees one key alone has no gradient, which only the size of its inputs can be held against
        error = np.linalg.norm(got - want) / (np.linalg.norm(want) or np.sqrt(want.size))
        assert error < NEAR, f"{name} of {mask!r} is off by {error:.4f}"
        unused = hidden.all(2 if name in ("out", "dq") else 1)
        assert not got[unused].any(), f"{name} of {mask!r} is not zero where nothing is seen"


def test_causal():
    for K in (64, 128):
        compare(masks.causal(), K=K)


def test_full():
    for K in (64, 128):
        compare(masks.bidirectional(), K=K)


def test_window():
    for K in (64, 128):
        compare(masks.causal() & masks.window(100), K=K)


def test_window_of_one_and_window_longer_than_the_row():
    compare(masks.causal() & masks.window(0))
    compare(masks.causal() & masks.window(1000))


def test_padding():
    for K in (64, 128):
        compare(masks.padding(), K=K)


def test_causal_padding():
    for K in (64, 128):
        compare(masks.causal() & masks.padding(), K=K)


def test_grouped_and_single_key_heads():
    for J in (2, 1):
        compare(masks.causal(), J=J)
        compare(masks.padding(), J=J)


def test_a_length_that_is_no_multiple_of_a_block():
    compare(masks.causal(), T=202, lengths=(0, 202))
    compare(masks.causal() & masks.padding(), T=202, lengths=(0, 150, 202))


if __name__ == "__main__":
    for name, test in [item for item in globals().items() if item[0].startswith("test_")]:
        test()
        print(name, "passed", flush=True)
