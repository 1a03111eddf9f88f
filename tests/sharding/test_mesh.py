"""The mesh: what is left goes to -1, and sizes that cannot be are answered with those that can."""

import jax
import pytest
from jax.sharding import AxisType

from hybridlm.config.errors import ConfigError
from hybridlm.config.model import ModelConfig
from hybridlm.config.training import MeshConfig
from hybridlm.sharding import mesh


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [((-1, 1, 1), (8, 1, 1)), ((-1, 2, 2), (2, 2, 2)), ((2, -1, 4), (2, 1, 4)), ((1, 2, -1), (1, 2, 4))],
)
def test_minus_one_is_what_is_left(asked, sizes):
    data, fsdp, tensor = asked
    made = mesh.make(MeshConfig(data=data, fsdp=fsdp, tensor=tensor))
    assert tuple(made.shape.items()) == tuple(zip(("data", "fsdp", "tensor"), sizes))
    assert set(made.axis_types) == {AxisType.Auto}
    assert set(made.devices.flat) == set(jax.devices())


@pytest.mark.parametrize("sizes", [(3, 1, 1), (-1, 3, 1), (2, 2, 1), (16, 1, 1), (-1, 16, 1)])
def test_sizes_that_do_not_multiply_to_the_devices_are_refused(sizes):
    data, fsdp, tensor = sizes
    with pytest.raises(
        ConfigError, match=rf"data={data}, fsdp={fsdp}, tensor={tensor} do not multiply to the 8 devices"
    ):
        mesh.make(MeshConfig(data=data, fsdp=fsdp, tensor=tensor))


def test_the_error_lists_valid_meshes_nearest_first():
    with pytest.raises(ConfigError) as error:
        mesh.resolved(MeshConfig(data=2, fsdp=2, tensor=1), 8)
    assert str(error.value) == (
        "mesh sizes data=2, fsdp=2, tensor=1 do not multiply to the 8 devices of this run; valid (data, fsdp, tensor) "
        "near it are [(2, 2, 2), (2, 4, 1), (4, 2, 1), (1, 2, 4), (1, 8, 1), (2, 1, 4)]."
    )


def of(data, fsdp, tensor):
    return mesh.make(MeshConfig(data=data, fsdp=fsdp, tensor=tensor))


@pytest.mark.parametrize(
    ("sizes", "rows", "message"),
    [
        ((1, 1, 8), 8, "mesh.tensor=8 must divide model.kv_heads=4 and model.ffn=352, since each device computes whole "
         "key/value heads with their queries; valid mesh.tensor are [1, 2, 4]."),
        ((1, 8, 1), 8, "mesh.fsdp=8 must divide model.width=132, along which parameters are cut; valid mesh.fsdp up to "
         "8 are [1, 2, 3, 4, 6]."),
        ((2, 2, 2), 6, "a batch of 6 rows does not divide over data × fsdp = 4 devices; choose training.batch_rows / "
         "training.accumulate as a multiple of 4, or raise mesh.tensor."),
    ],
)  # fmt: skip
def test_a_model_or_batch_that_does_not_divide_is_refused(sizes, rows, message):
    with pytest.raises(ConfigError) as error:
        mesh.check(of(*sizes), ModelConfig(width=132, head_width=32, heads=4, kv_heads=4, ffn=352), rows)
    assert str(error.value) == message


def test_a_model_that_divides_passes():
    mesh.check(of(2, 2, 2), ModelConfig(), 32)
