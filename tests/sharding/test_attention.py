"""Attention across devices is attention: outputs and gradients on every mesh are those of one device, for any mask."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm import attention, masks
from hybridlm.config.mesh import MeshConfig
from hybridlm.facts import tokens
from hybridlm.models.rotary import rotate
from hybridlm.sharding import mesh
from hybridlm.sharding.attention import planner

B, T, H, J, K = 4, 16, 4, 2, 8
HOW = {"dtype": jnp.float32, "head_width": K}
DEEP = masks.custom(lambda q, k: (q.depth >= k.depth) & ((q.position - k.position) % 3 == 0))
MASKS = {
    "packed window": masks.causal() & masks.window(3) & masks.same_segment(),
    "block diffusion": masks.block_diffusion(),
    "one's own, of a further fact": DEEP & masks.same_segment(),
}
SIZES = [{"replica": 2, "data": 2, "tensor": 2}, {"data": 2, "tensor": 2, "sequence": 2}, {"sequence": 8}]


@pytest.fixture(scope="module")
def facts():
    """Rows of a clean and a noisy stream of two documents each, the second of another length in every row."""
    place = np.arange(T) % (T // 2)
    segment_BT = np.where(place < np.arange(2, 2 + B)[:, None], 1, 2)
    position_BT = np.where(segment_BT == 1, place, place - np.arange(2, 2 + B)[:, None])
    return tokens.from_columns(
        segment_BT,
        position_BT,
        block_BT=np.broadcast_to(place // 2, (B, T)),
        stream_BT=np.broadcast_to(np.arange(T) // (T // 2), (B, T)),
        extra={"depth": np.arange(B * T).reshape(B, T) % 5},
    )


@pytest.fixture(scope="module")
def arrays():
    draws = np.random.default_rng(0)
    return tuple(draws.normal(size=(B, T, heads, K)).astype(np.float32) for heads in (H, J, J))


@functools.partial(jax.jit, static_argnums=(0, 1))
def attended(plan, mask, facts, arrays):
    """The output, and the gradients of a sum in which every number has another weight."""

    def loss(arrays):
        out, _ = plan(mask, facts, **HOW).mix(0, *arrays, None)
        return (out * jnp.cos(jnp.arange(out.size)).reshape(out.shape)).sum(), out

    return jax.value_and_grad(loss, has_aux=True)(arrays)


def heads_of(projection_BTJRK, rotation):
    q_BTJRK = projection_BTJRK[:, :, :, :-2]
    q_BTHK = q_BTJRK.reshape(*q_BTJRK.shape[:2], -1, q_BTJRK.shape[-1])
    return rotate(q_BTHK, rotation), rotate(projection_BTJRK[:, :, :, -2], rotation), projection_BTJRK[:, :, :, -1]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("turned", [0, 1, B], ids=["no rotation", "one row of angles", "each row its own"])
def test_attention_to_a_projection_is_that_to_its_heads(turned, sizes, facts, arrays):
    """Where rows are cut, a layer takes it apart itself."""
    where = mesh.make(MeshConfig(**({"data": 1} | sizes)), jax.devices())
    q, k, v = arrays
    projection = jnp.concatenate([q.reshape(B, T, J, H // J, K), k[:, :, :, None], v[:, :, :, None]], 3)
    angles = jax.random.uniform(jax.random.key(0), (turned, T, K // 2))
    rotation = (jnp.cos(angles), jnp.sin(angles)) if turned else None

    def loss(plan, x):
        out = plan(MASKS["block diffusion"], facts, **HOW).mix.of_projection(x, rotation, heads_of)
        return None if out is None else ((out * jnp.cos(jnp.arange(out.size)).reshape(out.shape)).sum(), out)

    def alone(x):
        out = attention.plan(MASKS["block diffusion"], facts, **HOW).attend(*heads_of(x, rotation))
        return (out * jnp.cos(jnp.arange(out.size)).reshape(out.shape)).sum(), out

    if "sequence" in sizes:
        assert loss(planner(where), projection) is None
        return
    (_, out), gradient = jax.jit(jax.value_and_grad(functools.partial(loss, planner(where)), has_aux=True))(projection)
    (_, expected), expected_gradient = jax.value_and_grad(alone, has_aux=True)(projection)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", MASKS)
def test_every_mesh_gives_what_one_device_gives(name, sizes, facts, arrays):
    where = mesh.make(MeshConfig(**({"data": 1} | sizes)), jax.devices())
    plan = planner(where)
    (_, out), gradients = attended(plan, MASKS[name], facts, arrays)
    (_, expected), expected_gradients = attended(attention.plan, MASKS[name], facts, arrays)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    for found, alone in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(found, alone, atol=1e-5)


def test_rows_and_lengths_that_do_not_divide_are_whole_on_every_device(facts, arrays):
    odd = jax.tree.map(lambda x: x[:3, :15], (facts, arrays))
    where = mesh.make(MeshConfig(data=2, tensor=2, sequence=2))
    (_, out), _ = attended(planner(where), MASKS["packed window"], *odd)
    (_, expected), _ = attended(attention.plan, MASKS["packed window"], *odd)
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_facts_of_one_row_serve_all_rows(arrays):
    where = mesh.make(MeshConfig(data=4, sequence=2))
    (_, out), _ = attended(planner(where), masks.causal(), tokens.one_document(T), arrays)
    (_, expected), _ = attended(attention.plan, masks.causal(), tokens.one_document(T), arrays)
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_the_gradient_of_a_projection_is_written_on_each_device():
    """Lowered for GPUs that are not there: what the kernels write are two of four rows and one of two key heads."""
    where = mesh.make(MeshConfig(data=2, tensor=2), jax.devices()[:4])
    long = tokens.from_columns(np.ones((4, 256), int), np.broadcast_to(np.arange(256), (4, 256)))
    shape = jax.ShapeDtypeStruct((4, 256, 2, 4, 64), jnp.bfloat16)

    def loss(x):
        plan = planner(where)(masks.same_segment(), long, dtype=jnp.bfloat16, head_width=64, platform="gpu")
        return plan.mix.of_projection(x, None, heads_of).astype(jnp.float32).sum()

    text = jax.jit(jax.grad(loss)).trace(shape).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("mosaic_gpu_v2") == 3
    assert "-> (tensor<2x256x1x4x64xbf16>, tensor<2x2x256xf32>)" in text


def test_queries_stay_and_keys_are_gathered_once_per_call(facts, arrays):
    """Of 16 queries each of four devices works on four, and its scores are 4 x 16."""
    where = mesh.make(MeshConfig(data=1, sequence=4), jax.devices()[:4])
    placed = jax.device_put(arrays, NamedSharding(where, P(None, "sequence")))
    forward = jax.jit(lambda arrays: planner(where)(masks.causal(), facts, **HOW).mix(0, *arrays, None)[0])
    text = forward.lower(placed).compile().as_text()
    gathered = [line for line in text.splitlines() if " all-gather(" in line or " all-gather-start(" in line]
    assert len(gathered) == 2, "keys and values, and nothing else"
    sizes = [math.prod(map(int, shape.split(","))) for shape in re.findall(r"\w\[([\d,]+)\]", text)]
    assert max(sizes) == B * H * (T // 4) * T, "the scores, of its own queries alone"


def test_a_kernel_is_given_the_rows_heads_and_queries_of_one_device():
    """Lowered for GPUs that are not there: two of four rows, half of every row, one of two key heads."""
    where = mesh.make(MeshConfig(data=2, tensor=2, sequence=2))
    long = tokens.from_columns(np.ones((4, 256), int), np.broadcast_to(np.arange(256), (4, 256)))
    arrays = [jax.ShapeDtypeStruct((4, 256, heads, 64), jnp.bfloat16) for heads in (4, 2, 2)]

    def loss(*arrays):
        plan = planner(where)(masks.same_segment(), long, dtype=jnp.bfloat16, head_width=64, platform="gpu")
        return plan.mix(0, *arrays, None)[0].astype(jnp.float32).sum()

    text = jax.jit(jax.grad(loss, (0, 1, 2))).trace(*arrays).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("mosaic_gpu_v2") == 3
    assert "tensor<2x128x2x64xbf16>" in text and "tensor<2x256x1x64xbf16>" in text
