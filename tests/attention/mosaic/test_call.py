"""The kernels in Mosaic's interpreter against the dense reference, and their lowering for a GPU that is not there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm import masks
from hybridlm.attention import dense
from hybridlm.attention.mosaic import call, forward
from hybridlm.attention.mosaic.tiles import Tiles
from hybridlm.facts import tokens

pytestmark = pytest.mark.xdist_group("attention")  # one process compiles each small operation once

SMALL = call.Cut(forward=Tiles(64, 2), queries=Tiles(64, 2), keys=Tiles(64, 2))
multiply = plgpu.wgmma


def packed(*rows):
    """Facts of rows given as lengths of documents; a last negative number is padding."""
    segment = [np.repeat([i + 1 if n > 0 else 0 for i, n in enumerate(row)], np.abs(row)) for row in rows]
    segment = jnp.asarray(np.stack(segment), jnp.int32)
    return tokens.from_columns(segment, jnp.broadcast_to(jnp.arange(segment.shape[1]), segment.shape))


def two_streams(length, block):
    index = jnp.tile(jnp.arange(length, dtype=jnp.int32), 2)[None]
    stream = jnp.repeat(jnp.arange(2, dtype=jnp.int32), length)[None]
    return tokens.from_columns(jnp.ones_like(index), index, index_BT=index, block_BT=index // block, stream_BT=stream)


@pytest.fixture
def interpreter(monkeypatch):
    """The interpreter multiplies what has an address, and knows no `run_state`; on a GPU both are registers."""

    def wgmma(acc, left, right):
        if isinstance(left, jax.Array):

            def through_memory(ref):
                ref[...] = left
                multiply(acc, ref, right)

            pl.run_scoped(through_memory, plgpu.REGS(left.shape, left.dtype))
        else:
            multiply(acc, left, right)

    def add_product(acc, left, right, meanwhile):
        meanwhile()
        return acc + jnp.dot(left, right[...], preferred_element_type=jnp.float32)

    monkeypatch.setattr(plgpu, "wgmma", wgmma)
    monkeypatch.setattr(forward, "add_product", add_product)
    return plgpu.InterpretGPUParams()


def random(B, T, H, J, K, S=None):
    shapes = [(B, T, H, K), (B, S or T, J, K), (B, S or T, J, K), (B, T, H, K)]
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return [jax.random.normal(key, shape, jnp.bfloat16) for key, shape in zip(keys, shapes)]


def gradients(attend, q, k, v, dout):
    out, pull = jax.vjp(attend, q, k, v)
    return out, *pull(dout)


CASES = {
    "packed rows of a length no block divides, one key head for two": (
        masks.causal() & masks.same_segment() & masks.valid(),
        packed([70, 50, -10]),
        (1, 130, 2, 1, 64),
    ),
    "two streams": (masks.block_diffusion(), two_streams(64, 16), (1, 128, 1, 1, 128)),
}


@pytest.mark.parametrize("case", CASES)
def test_interpreted_kernels_equal_the_reference(case, interpreter):
    mask, facts, shape = CASES[case]
    arrays = random(*shape)
    prepared = call.prepare(mask, facts, None, SMALL)

    @jax.jit
    def fused(q, k, v, dout):
        out, pull, lse = jax.vjp(lambda *a: call.attend(prepared, *a, 0.1, interpreter), q, k, v, has_aux=True)
        return lse, out, *pull(dout)

    exact = [array.astype(jnp.float32) for array in arrays]
    wanted = gradients(lambda *a: dense.attend(dense.prepare(mask, facts, None), *a, 0.1), *exact)
    lse, *found = (np.asarray(array, np.float32) for array in fused(*arrays))
    sees = np.asarray(masks.materialize(mask, facts))
    for got, want, is_used in zip(found, wanted, (sees.any(2), sees.any(2), sees.any(1), sees.any(1))):
        assert np.linalg.norm(got - want) < 0.01 * np.linalg.norm(want)
        assert not got[~is_used].any()
    group = shape[2] // shape[3]
    scores = 0.1 * jnp.einsum("BTHK,BSHK->BHTS", exact[0], jnp.repeat(exact[1], group, 2))
    np.testing.assert_allclose(lse, jax.nn.logsumexp(jnp.where(sees[:, None], scores, -jnp.inf), -1), atol=1e-3)


MASKS = {
    "bidirectional": masks.bidirectional(),
    "not the same": ~masks.same_segment() & masks.custom(lambda q, k: abs(q.index - k.index) // 4 > 1),
    "unified": masks.unified(),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_kernels_lower_for_a_gpu(mask):
    """New facts are data: one lowering serves every batch."""

    def attend(segment, *arrays):
        prepared = call.prepare(mask, tokens.from_columns(segment, tokens.along_row(segment.shape)), None)
        return gradients(lambda q, k, v: call.attend(prepared, q, k, v, 0.1)[0], *arrays)

    segment = jax.ShapeDtypeStruct((2, 256), jnp.int32)
    arrays = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in random(2, 256, 4, 2, 64)]
    lowered = jax.jit(attend).trace(segment, *arrays).lower(lowering_platforms=("cuda",))
    assert lowered.as_text().count("mosaic_gpu_v2") == 3  # forward, dq, and dk with dv


def test_batches_and_heads_may_be_mapped():
    facts, (q, k, v, _) = packed([100, 28]), random(1, 128, 2, 2, 64)
    prepared = call.prepare(masks.causal() & masks.same_segment(), facts, None)
    attend = jax.vmap(lambda q, k, v: call.attend(prepared, q, k, v, 0.1)[0])
    mapped = [jax.ShapeDtypeStruct((3, *array.shape), array.dtype) for array in (q, k, v)]
    lowered = jax.jit(attend).trace(*mapped).lower(lowering_platforms=("cuda",))
    assert "mosaic_gpu_v2" in lowered.as_text()


@pytest.mark.parametrize(
    ("scale", "key_heads", "said"),
    [
        (0.0, 2, "attention scale is 0.0, but the kernels take the maximum of scores before scaling"),
        (1.0, 3, "4 query heads cannot share 3 key heads evenly"),
    ],
)
def test_what_the_kernels_would_compute_wrongly_is_refused(scale, key_heads, said):
    facts = tokens.one_document(128)
    prepared = call.prepare(masks.causal(), facts, None)
    q, k = jnp.zeros((1, 128, 4, 64), jnp.bfloat16), jnp.zeros((1, 128, key_heads, 64), jnp.bfloat16)
    with pytest.raises(ValueError, match=said):
        call.attend(prepared, q, k, k, scale)
