"""The gradient of a projection that the kernels write whole, against that of its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import attention, masks
from hybridlm.attention.mosaic import call, cuts, projection
from hybridlm.attention.mosaic.tiles import Tiles
from hybridlm.config.model import ModelConfig
from hybridlm.facts import tokens
from hybridlm.models import decoder
from hybridlm.models.rotary import rotate

SMALL = cuts.Cut(forward=Tiles(64, 2), queries=Tiles(64, 2), keys=Tiles(64, 2))
B, T, J, GROUP, K = 2, 128, 2, 2, 64
FACTS = tokens.from_columns(
    jnp.repeat(jnp.array([[1, 2], [1, 1]]), T // 2, 1), jnp.arange(T)[None] + jnp.zeros((B, 1), int)
)


def heads_of(x_BTJRK, rotation):
    q_BTHK = x_BTJRK[:, :, :, :-2].reshape(*x_BTJRK.shape[:2], -1, K)
    return rotate(q_BTHK, rotation), rotate(x_BTJRK[:, :, :, -2], rotation), x_BTJRK[:, :, :, -1]


def angles(rows, width=K // 2):
    angle_BTW = jax.random.uniform(jax.random.key(1), (rows, T, width)) * 6
    return jnp.cos(angle_BTW), jnp.sin(angle_BTW)


@pytest.mark.parametrize("rows", [0, 1, B], ids=["no rotation", "one row of angles", "each row its own"])
def test_the_whole_gradient_is_that_of_its_parts(interpreter, rows):
    mask, rotation = masks.causal() & masks.same_segment(), angles(rows) if rows else None
    x, dout = (
        jax.random.normal(jax.random.key(n), shape, jnp.bfloat16)
        for n, shape in enumerate([(B, T, J, GROUP + 2, K), (B, T, J * GROUP, K)])
    )

    @jax.jit
    def whole(x):
        prepared = call.prepare(mask, FACTS, None)
        out, pull = jax.vjp(lambda x: projection.attend(prepared, x, rotation, heads_of, 0.1, SMALL, interpreter), x)
        return out, pull(dout)[0]

    @jax.jit
    def by_parts(x):
        prepared = call.prepare(mask, FACTS, None)
        out, pull = jax.vjp(lambda x: call.attend(prepared, *heads_of(x, rotation), 0.1, SMALL, interpreter)[0], x)
        return out, pull(dout)[0]

    (out, found), (wanted_out, wanted) = whole(x), by_parts(x)
    np.testing.assert_array_equal(out, wanted_out)
    found, wanted = (np.asarray(x, np.float32) for x in (found, wanted))
    for number in range(GROUP + 2):
        off = np.linalg.norm(found[:, :, :, number] - wanted[:, :, :, number])
        assert off < 0.004 * np.linalg.norm(wanted[:, :, :, number])  # the parts are rounded once more


@pytest.mark.parametrize(("loop", "remat"), [("unroll", "none"), ("unroll", "full"), ("scan", "dots")])
def test_a_network_on_a_gpu_has_the_gradient_written_whole(loop, remat):
    """Lowered for one that is not there: each kernel once for all layers, dq and then dk and dv into one array."""
    config = ModelConfig(layers=2, width=256, heads=4, kv_heads=2, ffn=64, dtype="bfloat16", loop=loop, remat=remat)

    def loss(params, ids):
        plan = attention.plan(masks.causal(), FACTS, dtype=jnp.bfloat16, head_width=64, platform="gpu")
        return decoder.apply(config, 50, params, ids, FACTS, plan.mix)[0].astype(jnp.float32).sum()

    ids = jax.ShapeDtypeStruct((B, T), jnp.int32)
    text = jax.jit(jax.grad(loss)).trace(decoder.shapes(config, 50), ids).lower(lowering_platforms=("cuda",)).as_text()
    calls = [line for line in text.splitlines() if "mosaic_gpu_v2" in line]
    whole = f"tensor<{B}x{T}x{J}x{GROUP + 2}x{K}xbf16>"
    assert sum(f"-> ({whole}, " in line or line.endswith(f"-> {whole}") for line in calls) == 2


def test_rows_may_be_mapped():
    def gradient(segment, x):
        facts = tokens.from_columns(segment, tokens.along_row(segment.shape))
        prepared = call.prepare(masks.same_segment(), facts, None)
        return jax.grad(lambda x: projection.attend(prepared, x, turn, heads_of, 0.1).astype(jnp.float32).sum())(x)

    turn = angles(1)
    given = jax.ShapeDtypeStruct((3, B, T), jnp.int32), jax.ShapeDtypeStruct((3, B, T, J, 4, K), jnp.bfloat16)
    text = jax.jit(jax.vmap(gradient)).trace(*given).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("mosaic_gpu_v2") == 3
    assert f"tensor<{3 * B}x{T}x{J}x4x{K}xbf16>" in text  # all rows in one batch


def test_what_the_kernels_cannot_write_is_left_to_the_parts():
    prepared = call.prepare(masks.causal(), FACTS, None)

    def attended(shape, rotation, cut=cuts.CUTS[64]):
        given = jax.ShapeDtypeStruct(shape, jnp.bfloat16)
        return jax.eval_shape(lambda x: projection.attend(prepared, x, rotation, heads_of, 0.1, cut), given)

    assert attended((B, T, J, 4, K), angles(1)).shape == (B, T, 4, K)
    assert attended((B, T, J, 4, K), angles(1, width=16)) is None
    with pytest.raises(ValueError, match="127 queries and 127 keys, but the mask was prepared for 128 and 128"):
        attended((B, T - 1, J, 4, K), None)
    assert attended((B, T, J, 4, K), None, cuts.CUTS[64]._replace(backward=Tiles(64, 2))) is None
    odd = call.prepare(masks.causal(), jax.tree.map(lambda column: column[:, :100], FACTS), None)
    assert projection.attend(odd, jnp.zeros((B, 100, J, 4, K), jnp.bfloat16), None, heads_of, 0.1) is None
