"""The kernels in Mosaic's interpreter against the dense reference, and their lowering for a GPU that is not there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from hybridlm import masks
from hybridlm.attention import dense
from hybridlm.attention.mosaic import call, cuts, stream, tiles
from hybridlm.attention.mosaic.tiles import Tiles
from hybridlm.facts import tokens

SMALL = cuts.Cut(forward=Tiles(64, 2), queries=Tiles(64, 2), keys=Tiles(64, 2))
IN_ONE_PASS = SMALL._replace(backward=cuts.IN_ONE_PASS[64])


def packed(*rows):
    """Facts of rows given as lengths of documents; a last negative number is padding."""
    segment = [np.repeat([i + 1 if n > 0 else 0 for i, n in enumerate(row)], np.abs(row)) for row in rows]
    segment = jnp.asarray(np.stack(segment), jnp.int32)
    return tokens.from_columns(segment, jnp.broadcast_to(jnp.arange(segment.shape[1]), segment.shape))


def two_streams(*documents, block):
    """One row: documents and padding as above, then a noisy copy of them."""
    segment = jnp.tile(packed(documents).segment, 2)
    index = jnp.tile(jnp.arange(segment.shape[1] // 2, dtype=jnp.int32), 2)[None]
    stream = (jnp.arange(segment.shape[1]) >= segment.shape[1] // 2).astype(jnp.int32)[None]
    return tokens.from_columns(segment, index, index_BT=index, block_BT=index // block, stream_BT=stream)


def random(B, T, H, J, K, S=None):
    shapes = [(B, T, H, K), (B, S or T, J, K), (B, S or T, J, K), (B, T, H, K)]
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return [jax.random.normal(key, shape, jnp.bfloat16) for key, shape in zip(keys, shapes)]


def gradients(attend, q, k, v, dout):
    out, pull = jax.vjp(attend, q, k, v)
    return out, *pull(dout)


@pytest.mark.parametrize("in_bits", [True, False], ids=["bits", "expression"])
@pytest.mark.parametrize("cut", [SMALL, IN_ONE_PASS], ids=["two passes", "one pass"])
def test_interpreted_kernels_equal_the_reference(interpreter, cut, in_bits):
    """Packed documents in two streams, padding, queries from the 31st token on, one key head for two; no block divides
    the lengths, and one thread block takes several tiles in turn."""
    mask, k_facts = masks.unified(), two_streams(40, 20, -5, block=8)
    q_facts = jax.tree.map(lambda column: column[:, 30:], k_facts)
    arrays = random(1, 100, 2, 1, 64, S=130)

    @jax.jit
    def fused(q, k, v, dout):
        prepared = call.prepare(mask, q_facts, k_facts, in_bits=in_bits)
        out, pull, lse = jax.vjp(lambda *a: call.attend(prepared, *a, 0.1, cut, interpreter), q, k, v, has_aux=True)
        return lse, out, *pull(dout)

    @jax.jit
    def reference(q, k, v, dout):
        sees = dense.prepare(mask, q_facts, k_facts)
        scores = 0.1 * jnp.einsum("BTHK,BSK->BHTS", q, k[:, :, 0])
        lse = jax.nn.logsumexp(jnp.where(sees[:, None], scores, -jnp.inf), -1)
        return sees, lse, *gradients(lambda *a: dense.attend(sees, *a, 0.1), q, k, v, dout)

    sees, wanted_lse, *wanted = map(np.asarray, reference(*(array.astype(jnp.float32) for array in arrays)))
    lse, *found = (np.asarray(array, np.float32) for array in fused(*arrays))
    np.testing.assert_allclose(lse, wanted_lse, atol=1e-3)
    for got, want, is_used in zip(found, wanted, (sees.any(2), sees.any(2), sees.any(1), sees.any(1))):
        assert np.linalg.norm(got - want) < 0.01 * np.linalg.norm(want)
        assert not got[~is_used].any()

    q, k, v, dout = arrays
    broken = jnp.where(sees.any(1)[..., None, None], k, jnp.nan)
    assert jnp.isnan(broken).any()
    for name, got, want in zip(("lse", "out", "dq", "dk", "dv"), fused(q, broken, v, dout), (lse, *found)):
        if name != "dq":  # adds 0 times the hidden keys of a block with visible ones
            np.testing.assert_array_equal(np.asarray(got, np.float32), want)


@pytest.mark.parametrize("cut", [SMALL, IN_ONE_PASS], ids=["two passes", "one pass"])
@pytest.mark.parametrize("side", "qk")
def test_an_expression_over_one_side_alone(interpreter, side, cut):
    """Of the other side nothing comes to shared memory, and nobody waits for it."""
    mask = masks.custom(lambda q, k: (q if side == "q" else k).index % 3 != 1)
    facts, arrays = packed((128,)), random(1, 128, 1, 1, 64)

    @jax.jit
    def fused(q, k, v, dout):
        prepared = call.prepare(mask, facts, None, in_bits=False)
        return gradients(lambda *a: call.attend(prepared, *a, 0.1, cut, interpreter)[0], q, k, v, dout)

    wide = [array.astype(jnp.float32) for array in arrays]
    wanted = gradients(lambda *a: dense.attend(dense.prepare(mask, facts, None), *a, 0.1), *wide)
    for got, want in zip(fused(*arrays), wanted):
        assert np.linalg.norm(got.astype(jnp.float32) - want) < 0.01 * np.linalg.norm(want)


def test_a_dense_array_no_block_divides_is_seen_by_the_kernels(interpreter):
    """Under `not` and `and` too; keys that fill the row up are hidden by what is there."""
    random_pairs = masks.dense(np.random.default_rng(0).random((100, 70)) < 0.2)
    mask = ~random_pairs & masks.causal()
    q_facts, k_facts = (tokens.from_columns(jnp.ones((1, n), jnp.int32), jnp.arange(n)[None]) for n in (100, 70))
    q, k, v, dout = random(1, 100, 1, 1, 64, S=70)

    def through(backend, prepared, q, k, v):
        return gradients(lambda *a: backend(prepared, *a), q, k, v, dout.astype(q.dtype))

    @jax.jit
    def fused(*qkv):
        prepared = call.prepare(mask, q_facts, k_facts)
        return through(lambda p, *a: call.attend(p, *a, 0.1, SMALL, interpreter)[0], prepared, *qkv)

    sees = dense.prepare(mask, q_facts, k_facts)
    assert 0.3 < sees.mean() < 0.6
    wide = [array.astype(jnp.float32) for array in (q, k, v)]
    wanted = through(lambda p, *a: dense.attend(p, *a, 0.1), sees, *wide)
    for got, want in zip(fused(q, k, v), wanted):
        assert np.linalg.norm(got.astype(jnp.float32) - want) < 0.01 * np.linalg.norm(want)


def test_registers_are_there():
    """A block's threads share 65,536, which it gets at launch in eights per thread, and nothing is added later."""
    to_compute, to_stream = stream.REGISTERS
    threads = 128 * (tiles.WARPGROUPS + 1)
    at_launch = 65536 // threads // 8 * 8
    assert tiles.WARPGROUPS * to_compute + to_stream <= (tiles.WARPGROUPS + 1) * at_launch
    assert to_compute % 8 == to_stream % 8 == 0


MASKS = {
    "bidirectional": masks.bidirectional(),
    "not the same": ~masks.same_segment() & masks.custom(lambda q, k: abs(q.index - k.index) // 4 > 1),
    "unified": masks.unified(),
}


@pytest.mark.parametrize("head_width", cuts.CUTS)
@pytest.mark.parametrize(
    ("mask", "passes", "in_bits"),
    [(name, 2, False) for name in MASKS] + [("unified", 1, False), ("unified", 1, True), ("unified", 2, True)],
)
def test_kernels_lower_for_a_gpu(mask, head_width, passes, in_bits):
    """New facts are data: one lowering serves every batch; each kernel is there once for all layers, and fits in shared
    memory. Backward is one kernel for dq and one for dk with dv, or one for all."""
    mask = MASKS[mask]
    cut = cuts.CUTS[head_width]._replace(backward=cuts.IN_ONE_PASS[head_width] if passes == 1 else None)

    def attend(segment, *arrays):
        prepared = call.prepare(
            mask, tokens.from_columns(segment, tokens.along_row(segment.shape)), None, in_bits=in_bits
        )

        def layer(q, k, v):
            return call.attend(prepared, q, k, v, 0.1, cut)[0]

        return gradients(lambda q, k, v: layer(layer(q, k, v), k, v), *arrays)

    segment = jax.ShapeDtypeStruct((2, 256), jnp.int32)
    arrays = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in random(2, 256, 4, 2, head_width)]
    lowered = jax.jit(attend).trace(segment, *arrays).lower(lowering_platforms=("cuda",))
    assert lowered.as_text().count("mosaic_gpu_v2") == 1 + passes


PACKED = masks.causal() & masks.same_segment()
BY_KERNELS = pytest.mark.parametrize(("mask", "kernels"), [(PACKED, 3), (PACKED & masks.strided(4), 2)])
"""Masks, and how many kernels forward and backward are: with one pass for all gradients one less."""


def loss(mask, segment, q, k, v):
    prepared = call.prepare(mask, tokens.from_columns(segment, tokens.along_row(segment.shape)), None)
    return call.attend(prepared, q, k, v, 0.1)[0].astype(jnp.float32).sum()


def lowered_text(function, B=4):
    segment = jax.ShapeDtypeStruct((B, 128), jnp.int32)
    arrays = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in random(B, 128, 4, 2, 64)[:3]]
    return jax.jit(function).trace(segment, *arrays).lower(lowering_platforms=("cuda",)).as_text()


@BY_KERNELS
def test_rows_may_be_mapped(mask, kernels):
    of_row = jax.grad(lambda q, k, v, segment: loss(mask, segment, q, k, v), (0, 1, 2))
    each = jax.vmap(lambda segment, *arrays: of_row(*(array[None] for array in arrays), segment[None]))
    text = lowered_text(each)
    assert text.count("mosaic_gpu_v2") == kernels
    assert "tensor<4x128x4x64xbf16>" in text  # all rows in one batch


@BY_KERNELS
def test_layers_may_be_scanned_and_recomputed(mask, kernels):
    def layers(segment, q, k, v):
        layer = jax.checkpoint(lambda k, v: (k, loss(mask, segment, q, k, v)))
        return jax.lax.scan(layer, k, jnp.stack([v, v, v]))[1].sum()

    text = lowered_text(lambda segment, *arrays: jax.grad(layers, (1, 2, 3))(segment, *arrays))
    assert text.count("mosaic_gpu_v2") == kernels


@BY_KERNELS
def test_rows_and_heads_may_be_sharded_and_gradients_recompute(mask, kernels):
    mesh = jax.sharding.AbstractMesh((2, 2), ("data", "heads"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    heads = P("data", None, "heads")
    local = jax.checkpoint(lambda *arrays: loss(mask, *arrays)[None, None])
    shards = jax.shard_map(
        local, mesh=mesh, in_specs=(P("data"), heads, heads, heads), out_specs=P("data", "heads"), check_vma=False
    )
    gradient = jax.grad(lambda q, k, v, segment: shards(segment, q, k, v).sum(), (0, 1, 2))
    text = lowered_text(lambda segment, q, k, v: gradient(q, k, v, segment))
    assert text.count("mosaic_gpu_v2") == kernels
    assert "tensor<2x128x2x64xbf16>" in text  # two of four rows, two of four heads


@pytest.mark.parametrize(
    ("queries", "keys", "heads", "scale", "text"),
    [
        (128, 128, 2, 0.0, "attention scale is 0.0, but the kernels take the maximum of scores before scaling them"),
        (128, 128, 2, -1.0, "Negate the queries for a negative scale, or ask for backend='dense'."),
        (256, 128, 2, 0.1, "there are 256 queries and 128 keys, but the mask was prepared for 128 and 128. A plan"),
        (128, 64, 2, 0.1, "there are 128 queries and 64 keys, but the mask was prepared for 128 and 128. A plan"),
        (128, 128, 3, 0.1, "3 query heads cannot share 2 key heads evenly. Let the second divide the first."),
    ],
)
def test_refused(queries, keys, heads, scale, text):
    prepared = call.prepare(masks.causal(), packed([128]), None)
    q, k, v, _ = random(1, queries, heads, 2, 64, S=keys)
    with pytest.raises(ValueError, match=re.escape(text)):
        call.attend(prepared, q, k, v, scale)


@pytest.mark.parametrize(("columns", "stages"), [(96, 2), (256, 2), (0, 2), (64, 0)])
def test_a_cut_the_kernels_cannot_take(columns, stages):
    text = f"tiles of {columns} columns, {stages} at once, cannot be: a block of 128 rows and a matrix unit want 64"
    with pytest.raises(ValueError, match=re.escape(text)):
        Tiles(columns, stages)
