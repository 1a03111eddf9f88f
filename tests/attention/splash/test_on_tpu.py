"""The kernels compiled for TPUs that are not there: libtpu takes a topology's name for a machine.

HYBRIDLM_VENV=.venv/tpu HYBRIDLM_EXTRA=tpu bash run_tpu.sh pytest -m tpu -n0
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm import masks
from hybridlm.facts import tokens
from hybridlm.sharding.attention import planner
from hybridlm.sharding.mesh import AXES

pytestmark = pytest.mark.tpu

STRIDED = masks.custom(lambda q, k: ((q.position - k.position) % 4 == 0) | (abs(q.index - k.index) // 32 > 1))
PROGRAMS = {
    "packed": (masks.causal() & masks.same_segment() & masks.valid(), 128, jnp.bfloat16),
    "strided, denied": (~masks.same_segment() & STRIDED, 64, jnp.bfloat16),
    "two streams, float32": (masks.unified(), 128, jnp.float32),
    "no fact at all": (masks.bidirectional(), 256, jnp.bfloat16),
}


@functools.cache
def mesh(topology):
    """Two parts of rows and two of heads."""
    pytest.importorskip("libtpu", reason="libtpu is not installed; pip install 'hybridlm[tpu]' brings it")
    devices = topologies.get_topology_desc(topology, platform="tpu").devices
    return Mesh(np.array(devices).reshape(1, 2, 1, 2, 1), AXES, axis_types=(AxisType.Auto,) * len(AXES))


@pytest.mark.parametrize("topology", ["v5e:2x2", "v6e:2x2"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_forward_and_gradients_compile_for_a_mesh(name, topology):
    mask, width, dtype = PROGRAMS[name]
    where = mesh(topology)

    def gradients(segment, *arrays):
        facts = tokens.from_columns(segment, tokens.along_row(segment.shape))
        plan = planner(where)(mask, facts, dtype=dtype, head_width=width, backend="splash", platform="tpu")
        return jax.grad(lambda *a: plan.mix(0, *a, None)[0].astype(jnp.float32).sum(), (0, 1, 2))(*arrays)

    def abstract(shape, dtype, *spec):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(where, P(*spec)))

    heads = [abstract((2, 1100, heads, width), dtype, "data", None, "tensor") for heads in (8, 4, 4)]
    with jax.sharding.use_abstract_mesh(where.abstract_mesh):  # says for which TPU a kernel is written
        traced = jax.jit(gradients).trace(abstract((2, 1100), jnp.int32, "data"), *heads)
    program = traced.lower(lowering_platforms=("tpu",)).compile()
    assert program.as_text().count('custom_call_target="tpu_custom_call"') == 3
    per_device = 2 * 1100 * 8 * width * dtype.dtype.itemsize // 4
    assert program.memory_analysis().temp_size_in_bytes < 20 * per_device, "linear in the length"
