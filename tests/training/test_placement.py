"""Where things lie: parameters by the rules, counters everywhere, rows over the devices where they divide."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from hybridlm.config.mesh import MeshConfig
from hybridlm.sharding.mesh import make
from hybridlm.training import placement, state
from hybridlm.training import task as tasks


@pytest.fixture(scope="module")
def mesh():
    return make(MeshConfig(data=2, fsdp=2, tensor=2))


def test_moments_lie_where_their_parameters_lie_and_counters_everywhere(task, mesh):
    shapes = jax.eval_shape(lambda: state.start(tasks.init(task, jax.random.key(0)), optax.adam(1.0), 4, 9))
    where = placement.of_state(shapes, mesh)
    moments = where.opt_state[0]
    assert where.params["embedding"]["tokens"].spec == P("tensor", ("fsdp", "sequence"))
    assert jax.tree.map(lambda x: x.spec, moments.mu) == jax.tree.map(lambda x: x.spec, where.params)
    everywhere = (where.step, where.bad, where.sums.rounded_PC, moments.count)
    assert all(leaf.is_fully_replicated for leaf in everywhere)


def test_rows_are_divided_and_rows_that_do_not_divide_go_everywhere(mesh):
    place = placement.placer(mesh)
    assert placement.shards(mesh) == 4
    rows = np.arange(32, dtype=np.int32).reshape(8, 4)
    divided = place({"tokens": rows})["tokens"]
    assert {shard.data.shape for shard in divided.addressable_shards} == {(2, 4)}
    np.testing.assert_array_equal(divided, rows)
    odd = place({"tokens": rows[:3]})["tokens"]
    assert odd.is_fully_replicated
    np.testing.assert_array_equal(odd, rows[:3])
