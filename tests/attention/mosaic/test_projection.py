"""The gradient of a projection that the kernels write whole, against that of its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.attention.mosaic import call, cuts, projection
from hybridlm.attention.mosaic.tiles import Tiles
from hybridlm.facts import tokens
from hybridlm.models.rotary import rotate
from tests.attention.mosaic.test_call import SMALL, interpreter  # noqa: F401

B, T, J, GROUP, K = 2, 128, 2, 2, 64
FACTS = tokens.from_columns(
    jnp.repeat(jnp.array([[1, 2], [1, 1]]), T // 2, 1), jnp.arange(T)[None] + jnp.zeros((B, 1), int)
)


def heads_of(projection_BTJRK, rotation):
    q_BTJRK, k_BTJK, v_BTJK = (
        projection_BTJRK[:, :, :, :-2],
        projection_BTJRK[:, :, :, -2],
        projection_BTJRK[:, :, :, -1],
    )
    return rotate(q_BTJRK.reshape(B, T, J * GROUP, K), rotation), rotate(k_BTJK, rotation), v_BTJK


def angles(rows, width=K // 2):
    angle_BTW = jax.random.uniform(jax.random.key(1), (rows, T, width)) * 6
    return jnp.cos(angle_BTW), jnp.sin(angle_BTW)


@pytest.mark.parametrize("rows", [0, 1, B], ids=["no rotation", "one row of angles", "each row its own"])
def test_the_whole_gradient_is_that_of_its_parts(interpreter, rows):  # noqa: F811
    mask, rotation = masks.causal() & masks.same_segment(), angles(rows) if rows else None
    x, dout = (
        jax.random.normal(jax.random.key(n), shape, jnp.bfloat16)
        for n, shape in enumerate([(B, T, J, GROUP + 2, K), (B, T, J * GROUP, K)])
    )

    @jax.jit
    def whole(x):
        prepared = call.prepare(mask, FACTS, None)
        given = prepared, x, rotation, heads_of, 0.1, SMALL, interpreter
        out, pull = jax.vjp(lambda x: projection.attend(given[0], x, *given[2:]), x)
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


def test_what_the_kernels_cannot_write_is_left_to_the_parts():
    prepared = call.prepare(masks.causal(), FACTS, None)

    def attended(shape, rotation, cut=cuts.CUTS[64]):
        given = jax.ShapeDtypeStruct(shape, jnp.bfloat16)
        return jax.eval_shape(lambda x: projection.attend(prepared, x, rotation, heads_of, 0.1, cut), given)

    assert attended((B, T, J, 4, K), angles(1)).shape == (B, T, 4, K)
    assert attended((B, T, J, 4, K), angles(1, width=16)) is None
    assert attended((B, T - 1, J, 4, K), None) is None
    assert attended((B, T, J, 4, K), None, cuts.CUTS[64]._replace(backward=Tiles(64, 2))) is None
