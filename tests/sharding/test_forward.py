"""A sharded network is the same network: hidden states and gradients on eight devices equal those on one."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.facts import tokens
from hybridlm.models import decoder
from hybridlm.sharding import mesh, rules

CONFIG = ModelConfig(width=16, heads=4, kv_heads=2, ffn=128, qk_norm="full", tied_head=False)
VOCAB = 128
IDS = jnp.arange(48, dtype=jnp.int32).reshape(8, 6) % VOCAB


def mix(layer, q, k, v, state):
    return jax.nn.dot_product_attention(q, k, v, is_causal=True), state


def loss(params, ids, constrain):
    hidden, _ = decoder.apply(CONFIG, VOCAB, params, ids, tokens.one_document(6), mix, constrain=constrain)
    logits = constrain(hidden @ params["head"]["kernel"].T, ("batch", "row", "vocab"))
    return -jnp.mean(jax.nn.log_softmax(logits)[..., 3]), hidden


def step(constrain):
    return jax.jit(jax.value_and_grad(functools.partial(loss, constrain=constrain), has_aux=True))


@pytest.fixture(scope="module")
def one_device():
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), decoder.shapes(CONFIG, VOCAB))
    return params, step(decoder.anywhere)(params, IDS)


@pytest.mark.parametrize("sizes", [(1, 8, 1, 1), (2, 2, 2, 1), (1, 2, 2, 2)])
def test_every_mesh_gives_the_numbers_of_one_device(one_device, sizes):
    params, expected = one_device
    data, fsdp, tensor, sequence = sizes
    where = mesh.make(MeshConfig(data=data, fsdp=fsdp, tensor=tensor, sequence=sequence))
    placed = jax.device_put(params, rules.shardings(params, where))
    ids = jax.device_put(IDS, rules.batch_sharding(where))
    (value, hidden), gradient = step(rules.constrain(where))(placed, ids)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ((value, hidden), gradient), expected)
    rows = NamedSharding(where, PartitionSpec(mesh.BATCH, "sequence"))
    assert hidden.sharding.is_equivalent_to(rows, 3)


def test_tensor_parallelism_sums_twice_per_layer_and_never_gathers():
    """Each branch cuts its first product and sums after its second (Megatron), and the embeddings of the ids that a
    device has are summed once before them: no activation is ever gathered."""
    where = mesh.make(MeshConfig(data=1, fsdp=1, tensor=2), jax.devices()[:2])
    config = ModelConfig(width=16, heads=4, kv_heads=2, ffn=16, layers=3)
    shapes = decoder.shapes(config, VOCAB)
    specs = rules.shardings(shapes, where)
    given = jax.tree.map(lambda leaf, lies: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=lies), shapes, specs)

    def forward(params):
        return decoder.apply(config, VOCAB, params, IDS, tokens.one_document(6), mix, constrain=rules.constrain(where))[
            0
        ]

    compiled = jax.jit(forward).lower(given).compile().as_text()
    collectives = re.findall(r"\b(all-\w+|collective-permute|reduce-scatter)(?:-start)?\(", compiled)
    assert collectives == ["all-reduce"] * (1 + 2 * config.layers)
