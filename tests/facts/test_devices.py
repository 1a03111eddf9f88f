"""Which devices kernels are asked to run on, and why not on others."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, Mesh

from hybridlm.config.mesh import MeshConfig
from hybridlm.facts import devices
from hybridlm.sharding import mesh, rules


@dataclasses.dataclass(frozen=True)
class Gpu:
    id: int
    compute_capability: str = "9.0"


def lying(sizes, machine):
    return rules.constrain(Mesh(np.array(machine).reshape(sizes), mesh.AXES))


HOPPERS = [Gpu(n) for n in range(4)]


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ((1, 1, 4, 1, 1), None),
        ((2, 2, 1, 1, 1), None),
        ((1, 2, 1, 2, 1), "a mesh that divides more than rows"),
        ((1, 1, 2, 1, 2), "a mesh that divides more than rows"),
    ],
)
def test_each_gpu_must_have_rows_of_its_own(sizes, reason):
    assert devices.obstacle(lying(sizes, HOPPERS)) == reason


def test_every_gpu_of_the_mesh_must_be_a_hopper():
    assert devices.obstacle(lying((1, 4, 1, 1, 1), [*HOPPERS[:3], Gpu(3, "8.0")])) == "not a Hopper GPU"


def test_without_a_mesh_there_must_be_one_gpu(monkeypatch):
    assert devices.obstacle(abs) == "not a Hopper GPU"
    monkeypatch.setattr(jax, "devices", lambda: HOPPERS[:1])
    assert devices.obstacle(abs) is None
    monkeypatch.setattr(jax, "devices", lambda: HOPPERS[:2])
    assert devices.obstacle(abs) == "2 devices"


def test_a_mesh_of_sizes_alone_is_of_another_machine(monkeypatch):
    where = AbstractMesh((1, 8, 1, 1, 1), mesh.AXES, axis_types=(AxisType.Auto,) * 5)
    monkeypatch.setattr(jax, "devices", lambda: HOPPERS[:1])
    assert devices.obstacle(rules.constrain(where)) == "planned for another machine"
    with jax.sharding.use_abstract_mesh(where):
        assert devices.obstacle(abs) == "planned for another machine"


@pytest.mark.parametrize("count", [1, 4])
def test_each_device_is_given_its_own_rows_and_the_whole_of_what_is_whole(count):
    """Of 8 rows and a number: the number of rows each saw, its sum of them, and each row times the number."""
    constrain = rules.constrain(mesh.make(MeshConfig(data=count), jax.devices()[:count]))
    seen = devices.on_each(constrain, lambda whole, rows: (jnp.array([rows.size]), rows.sum()[None], whole * rows))
    sizes, sums, scaled = seen(3, jnp.arange(8))
    assert sizes.tolist() == [8 // count] * count
    assert sums.tolist() == np.arange(8).reshape(count, -1).sum(1).tolist()
    assert scaled.tolist() == [0, 3, 6, 9, 12, 15, 18, 21]
