"""The mesh: what is left goes to -1, and sizes that cannot be are answered with those that can."""

import math
import re
import types

import jax
import pytest
from jax.sharding import AxisType

from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.config.training import TrainingConfig
from hybridlm.sharding import mesh

SMALL = ModelConfig(width=132, head_width=32, heads=4, kv_heads=4, ffn=352)


def of(*sizes):
    return MeshConfig(**dict(zip(mesh.AXES, sizes, strict=True)))


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        ((1, -1, 1, 1, 1), (1, 8, 1, 1, 1)),
        ((1, -1, 2, 2, 1), (1, 2, 2, 2, 1)),
        ((-1, 1, 2, 1, 2), (2, 1, 2, 1, 2)),
        ((1, 2, 1, 1, -1), (1, 2, 1, 1, 4)),
    ],
)
def test_minus_one_is_what_is_left(asked, sizes):
    made = mesh.make(of(*asked))
    assert tuple(made.shape.items()) == tuple(zip(mesh.AXES, sizes))
    assert set(made.axis_types) == {AxisType.Auto}
    assert set(made.devices.flat) == set(jax.devices())


@pytest.mark.parametrize("sizes", [(1, 3, 1, 1, 1), (1, -1, 3, 1, 1), (1, 2, 2, 1, 1), (1, -1, 4, 1, 4)])
def test_sizes_that_do_not_multiply_to_the_devices_are_refused(sizes):
    with pytest.raises(ConfigError, match=f"mesh sizes {of(*sizes)} do not multiply to the 8 devices of this run"):
        mesh.make(of(*sizes))


def test_the_error_lists_valid_meshes_nearest_first():
    with pytest.raises(ConfigError) as error:
        mesh.resolved(of(1, 2, 2, 1, 1), 8)
    assert str(error.value) == (
        "mesh sizes replica=1, data=2, fsdp=2, tensor=1, sequence=1 do not multiply to the 8 devices of this run; "
        "valid (replica, data, fsdp, tensor, sequence) near it are [(1, 2, 2, 1, 2), (1, 2, 2, 2, 1), (1, 2, 4, 1, 1), "
        "(1, 4, 2, 1, 1), (2, 2, 2, 1, 1), (1, 1, 2, 1, 4)]."
    )


def test_one_device_is_told_how_to_become_more():
    with pytest.raises(ConfigError) as error:
        mesh.resolved(of(1, 2, 1, 2, 1), 1)
    assert str(error.value) == (
        "mesh sizes replica=1, data=2, fsdp=1, tensor=2, sequence=1 do not multiply to the 1 devices of this run; "
        "valid (replica, data, fsdp, tensor, sequence) near it are [(1, 1, 1, 1, 1)]. JAX_NUM_CPU_DEVICES=4 makes 4 of "
        "a CPU, and `bash run_tpu.sh local 4 ...` joins processes."
    )


def test_every_shape_of_a_number_of_devices_is_listed_once():
    shapes = list(mesh.shapes(12, axes=3))
    assert len(set(shapes)) == len(shapes) == 18, "12 = 2 x 2 x 3: six ways to place the twos, three to place the three"
    assert {math.prod(shape) for shape in shapes} == {12}


VALID = "; valid (replica, data, fsdp, tensor, sequence) on 8 devices are "


@pytest.mark.parametrize(
    ("sizes", "rows", "length", "message"),
    [
        ((1, 1, 1, 8, 1), 8, 64, "mesh.tensor=8 must divide model.kv_heads=4 and model.ffn=352, since each device "
         "computes whole key/value heads with their queries" + VALID + "[(1, 1, 1, 4, 2), (1, 1, 2, 4, 1), "
         "(1, 2, 1, 4, 1), (2, 1, 1, 4, 1), (1, 1, 1, 2, 4), (1, 1, 4, 2, 1)]."),
        ((1, 1, 4, 1, 2), 8, 64, "mesh.fsdp x mesh.sequence = 8 must divide model.width=132, along which parameters "
         "are cut" + VALID + "[(1, 1, 2, 2, 2), (1, 1, 4, 2, 1), (1, 2, 2, 1, 2), (1, 2, 4, 1, 1), (2, 1, 2, 1, 2), "
         "(2, 1, 4, 1, 1)]."),
        ((1, 4, 1, 1, 2), 8, 63, "mesh.sequence=2 must divide data.row_length=63, since rows are cut into equal parts"
         + VALID + "[(1, 4, 1, 2, 1), (1, 4, 2, 1, 1), (1, 8, 1, 1, 1), (2, 4, 1, 1, 1), (1, 2, 1, 4, 1), "
         "(1, 2, 4, 1, 1)]."),
        ((2, 2, 2, 1, 1), 6, 64, "a step has 6 rows of 1 x 64 tokens, which training.accumulate=1 x mesh.replica x "
         "mesh.data x mesh.fsdp = 8 does not divide; change --config.training.batch_rows=6 to one of [8, 16, 24]"
         + VALID + "[(1, 1, 2, 4, 1), (1, 2, 1, 1, 4), (1, 2, 1, 4, 1), (2, 1, 1, 1, 4), (2, 1, 1, 4, 1), "
         "(1, 1, 2, 2, 2)]."),
        ((1, 8, 1, 1, 1), 7, 63, "a step has 7 rows of 1 x 63 tokens, which training.accumulate=1 x mesh.replica x "
         "mesh.data x mesh.fsdp = 8 does not divide; change --config.training.batch_rows=7 to one of [8, 16, 24]; no "
         "mesh of 8 devices would do."),
    ],
)  # fmt: skip
def test_a_model_or_batch_that_does_not_divide_is_refused_with_what_would(sizes, rows, length, message):
    training, data = TrainingConfig(batch_rows=rows), DataConfig(row_length=length)
    readings = EvaluationConfig(readings={"ar": Reading(objective=autoregressive())})
    run = Experiment(name="any", model=SMALL, training=training, data=data, evaluation=readings)
    with pytest.raises(ConfigError) as error:
        mesh.check(mesh.make(of(*sizes)), run)
    assert str(error.value) == message


MIXED = {"ar": autoregressive(ratio=0.6), "block": block_diffusion(16, ratio=0.4)}


@pytest.mark.parametrize(("rows", "accumulate", "devices"), [(32, 1, 2), (32, 1, 8), (28, 2, 4)])
def test_numbers_of_rows_that_are_named_do(rows, accumulate, devices):
    def run(batch_rows):
        training = TrainingConfig(batch_rows=batch_rows, accumulate=accumulate)
        return Experiment(name="any", objectives=MIXED, training=training)

    divided = mesh.make(of(1, -1, 1, 1, 1), jax.devices()[:devices])
    with pytest.raises(ConfigError) as error:
        mesh.check(divided, run(rows))
    (named,) = re.findall(r"--config.training.batch_rows=\d+ to one of \[(\d+), (\d+), (\d+)\]", str(error.value))
    for batch_rows in map(int, named):
        mesh.check(divided, run(batch_rows))


def test_a_model_that_divides_passes():
    mesh.check(mesh.make(of(1, 2, 2, 2, 1)), Experiment(name="any"))


def slices(count, each):
    """Devices as a pod of several slices shows them."""
    return [
        types.SimpleNamespace(id=n, slice_index=n // each, process_index=n // each, platform="cpu", device_kind="chip")
        for n in range(count * each)
    ]


def test_only_replica_crosses_the_network_between_slices():
    placed = mesh.over_slices((4, 2, 2, 1, 1), 2, slices(2, 8))
    of_replica = [{device.slice_index for device in part.flat} for part in placed]
    assert of_replica == [{0}, {0}, {1}, {1}]


def test_another_axis_across_slices_is_refused():
    with pytest.raises(ConfigError) as error:
        mesh.make(of(1, -1, 1, 1, 1), slices(2, 4))
    assert str(error.value) == (
        "mesh.replica=1 is no multiple of the 2 slices of this run, so that another axis would cross the network "
        "between them at every layer; set mesh.replica=2."
    )
