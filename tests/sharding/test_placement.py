"""Where things lie: parameters by the rules, counters everywhere, rows over the devices where they divide."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from hybridlm.config.mesh import MeshConfig
from hybridlm.evaluation import task as tasks
from hybridlm.sharding import placement
from hybridlm.sharding.mesh import make
from hybridlm.training import state
from hybridlm.training.state import placed


@pytest.fixture(scope="module")
def mesh():
    return make(MeshConfig(data=2, fsdp=2, tensor=2))


def test_moments_lie_where_their_parameters_lie_and_counters_everywhere(task, mesh):
    shapes = jax.eval_shape(lambda: state.start(tasks.init(task, jax.random.key(0)), optax.adam(1.0), 4, 9))
    where = placed(shapes, mesh)
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


@pytest.mark.parametrize(
    ("sizes", "host", "own"),
    [
        ({"data": 8}, (0, 1, 2, 3), [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"data": 8}, (0, 1, 4, 5), [0, 1, 2, 3, 8, 9, 10, 11]),  # a square of chips, of a mesh laid along rows of them
        ({"data": 2, "tensor": 4}, (4, 5, 6, 7), [8, 9, 10, 11, 12, 13, 14, 15]),
        ({"data": 2, "tensor": 4}, (0, 1), [0, 1, 2, 3, 4, 5, 6, 7]),  # half of the chips that share these rows
        ({"data": 1, "sequence": 8}, (3,), list(range(16))),
    ],
    ids=str,
)
def test_a_process_reads_what_lies_on_its_devices(sizes, host, own):
    assert placement.own_rows(make(MeshConfig(**sizes)), 16, [jax.devices()[n] for n in host]) == own


def test_rows_reach_their_places_from_a_process_that_holds_some(mesh, monkeypatch):
    """As if the devices of the others were there but their rows were not."""
    rows = np.arange(16, dtype=np.int32)[:, None]
    own = placement.own_rows(mesh, 16, jax.devices()[2:4] + jax.devices()[6:])
    assert own == [4, 5, 6, 7, 12, 13, 14, 15]
    shards = {}

    def build(shape, where, part):
        for device, index in where.devices_indices_map(shape).items():
            if range(16)[index[0]].start in own:
                shards[device.id] = part(index)[:, 0].tolist()
        return jax.numpy.zeros(shape)

    monkeypatch.setattr(placement, "own_rows", lambda *_: own)
    monkeypatch.setattr(jax, "make_array_from_callback", build)
    placement.placer(mesh, 16)({"tokens": rows[own]})
    second, last = [4, 5, 6, 7], [12, 13, 14, 15]
    assert shards == {2: second, 3: second, 6: last, 7: last}
