"""The fused backends against the dense reference on a real card, forward and backward, in bfloat16.

JAX_PLATFORMS=cuda python -m pytest -n0 -m gpu tests/attention/test_on_gpu.py
JAX_PLATFORMS=cuda python tests/attention/test_on_gpu.py          where there is no pytest
"""

import concurrent.futures
import functools

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
            pytest.skip(f"these kernels need an NVIDIA GPU, and this is {jax.default_backend()}")


NEAR = 0.015
"""The largest relative error (of norms); one rounding to bfloat16 costs up to 0.004."""


def compare(mask, *, T=256, H=4, J=4, K=64, lengths=(0, 1, 77, 256)):
    """cuDNN, which must be the router's own choice, against the reference on padded rows."""
    length = jnp.broadcast_to(jnp.array(lengths, jnp.int32)[:, None], (len(lengths), T))
    ones = jnp.ones(length.shape, jnp.int32)
    facts = tokens.from_columns(ones, ones, extra={"length": length})
    hold_against_reference("cudnn", mask, facts, None, H, J, K)


def hold_against_reference(backend, mask, q_facts, k_facts, H, J, K):
    """Output and gradients of the backend the router chooses; memory is poisoned before, and two runs are the same."""
    B, T = q_facts.shape
    S = T if k_facts is None else k_facts.shape[1]
    shapes = [(B, T, H, K), (B, S, J, K), (B, S, J, K), (B, T, H, K)]
    keys = jax.random.split(jax.random.key(T + K), len(shapes))
    arrays = [jax.random.normal(key, shape, jnp.bfloat16) for key, shape in zip(keys, shapes)]

    def run(name, q, k, v, cotangent):
        plan = attention.plan(mask, q_facts, k_facts, dtype=q.dtype, head_width=K, backend=name)
        assert name == "dense" or backend == plan.backend.NAME
        out, pull = jax.vjp(plan.attend, q, k, v)
        return out, *pull(cotangent)

    with jax.default_matmul_precision("highest"):
        reference = jax.jit(functools.partial(run, "dense"))
        expected = reference(*(array.astype(jnp.float32) for array in arrays))
    fused = jax.jit(functools.partial(run, "auto"))
    jax.block_until_ready([jnp.full(2**26, jnp.nan) for _ in range(4)])
    found, again = fused(*arrays), fused(*arrays)
    hidden = ~np.asarray(masks.materialize(mask, q_facts, k_facts))
    for name, got, want, repeated in zip(("out", "dq", "dk", "dv"), found, expected, again):
        if backend == "mosaic":
            assert np.array_equal(got, repeated), f"{name} of {mask!r} differs between two runs"
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        assert np.isfinite(got).all(), f"{name} of {mask!r} is not finite"
        # a query that sees one key alone has no gradient, which only the size of its inputs can be held against
        error = np.linalg.norm(got - want) / (np.linalg.norm(want) or np.sqrt(want.size))
        assert error < NEAR, f"{name} of {mask!r} is off by {error:.4f}"
        unused = hidden.all(2 if name in ("out", "dq") else 1)
        assert not got[unused].any(), f"{name} of {mask!r} is not zero where nothing is seen"


def packed(T, *ends):
    """Rows of documents that end there; what follows the last is padding."""
    segment = np.stack([np.searchsorted(end, np.arange(T), side="right") + 1 for end in ends])
    segment = np.where(segment > np.array([len(end) for end in ends])[:, None], 0, segment)
    index = np.broadcast_to(np.arange(T), segment.shape)
    return tokens.from_columns(segment, index, index_BT=index)


def two_streams(T, block):
    """Clean tokens, then noisy copies of them."""
    index = np.tile(np.arange(T // 2), 2)[None]
    stream = (np.arange(T) >= T // 2)[None].astype(np.int32)
    return tokens.from_columns(np.ones_like(index), index, index_BT=index, block_BT=index // block, stream_BT=stream)


def test_our_kernels():
    """Many thread blocks take many tiles each; lengths that no block divides, padding, rows that see nothing."""
    documents = packed(1000, (180, 500, 612, 990), (1000,), (3,), (64, 128, 777))
    in_documents = masks.same_segment() & masks.valid()
    hold_against_reference("mosaic", masks.causal() & in_documents, documents, None, 16, 4, 64)
    hold_against_reference("mosaic", masks.window(70, 3) & in_documents, documents, None, 8, 8, 128)
    hold_against_reference("mosaic", masks.block_diffusion(), two_streams(2048, 32), None, 16, 1, 128)


def test_our_kernels_on_a_user_s_mask_and_queries_from_an_offset_on():
    keys = packed(777, (300, 700))
    queries = jax.tree.map(lambda column: column[:, 500:], keys)
    mask = masks.custom(lambda q, k: ((q.index - k.index) % 3 == 0) & (q.index >= k.index) & ~(q.segment == k.segment))
    hold_against_reference("mosaic", mask, queries, keys, 4, 2, 64)


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
    tests = {name: test for name, test in list(globals().items()) if name.startswith("test_")}
    with concurrent.futures.ThreadPoolExecutor() as pool:  # they compile at the same time
        for name, done in [(name, pool.submit(test)) for name, test in tests.items()]:
            done.result()
            print(name, "passed", flush=True)
