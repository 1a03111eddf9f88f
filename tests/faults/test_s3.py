"""A run whose directory is in a store that Orbax does not know: written here, copied there, sealed there."""

import contextlib
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.sharding import SingleDeviceSharding

from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.data import retries
from hybridlm.storage import staging, workdir
from hybridlm.storage.checkpoints import CheckpointError, Checkpoints
from tests.faults import bucket

RUN = "s3://bucket/run"
SAVED = {step: jnp.arange(64.0) + step for step in (10, 20)}


@pytest.fixture(scope="module", autouse=True)
def serving():
    with bucket.serving():
        yield


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    bucket.OBJECTS.clear()
    bucket.REFUSALS.clear()
    monkeypatch.setattr(retries, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def two_steps():
    with contextlib.closing(Checkpoints(f"{RUN}/checkpoints")) as checkpoints:
        for step, values in SAVED.items():
            checkpoints.save(step, {"params": values}, {"told": step})


def restored(step):
    target = {"params": jax.ShapeDtypeStruct((64,), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))}
    return Checkpoints(f"{RUN}/checkpoints", read_only=True).restore(step, target)["params"]


def on_the_disk(tmp_path: pathlib.Path):
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def test_where_orbax_can_write_itself_nothing_is_copied(tmp_path):
    assert [staging.is_needed(epath.Path(path)) for path in (tmp_path, "gs://bucket/run", RUN)] == [False, False, True]
    for directory in (tmp_path, "gs://bucket/run"):
        with contextlib.closing(staging.Outgoing(epath.Path(directory) / "10")) as outgoing:
            assert outgoing.place == epath.Path(directory) / "10"


def test_a_checkpoint_comes_back_sealed_last_and_leaves_nothing_on_the_disk(two_steps, tmp_path):
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 20
    for step, values in SAVED.items():
        np.testing.assert_array_equal(restored(step), values)
    written = [name for name in bucket.OBJECTS if name.startswith("bucket/run/checkpoints/20/")]
    assert len(written) > 3 and written[-1].endswith("/manifest.json")
    assert not on_the_disk(tmp_path)


def test_a_flipped_bit_is_found_and_the_step_before_is_used(two_steps):
    name = next(name for name in bucket.OBJECTS if "checkpoints/20/state/" in name and bucket.OBJECTS[name])
    content = bytearray(bucket.OBJECTS[name])
    content[0] ^= 1
    bucket.OBJECTS[name] = bytes(content)
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 10


def test_a_refusal_that_passes_is_not_the_end():
    with contextlib.closing(staging.Outgoing(epath.Path(f"{RUN}/10"))) as outgoing:
        outgoing.place.mkdir()
        (outgoing.place / "values").write_bytes(b"123")
        bucket.REFUSALS += [ConnectionError("503")]
        outgoing.deliver()
    assert bucket.OBJECTS == {"bucket/run/10/values": b"123"}
    with staging.fetched(epath.Path(f"{RUN}/10")) as here:
        assert (here / "values").read_bytes() == b"123"


def test_a_copy_that_fails_costs_neither_older_steps_nor_the_disk(two_steps, tmp_path):
    checkpoints = Checkpoints(f"{RUN}/checkpoints")
    checkpoints.save(30, {"params": jnp.zeros(64)}, {})
    bucket.REFUSALS += [PermissionError("the bucket is read-only now")] * 100
    with pytest.raises(CheckpointError, match="checkpoint 30 could not be saved.*read-only now"):
        checkpoints.close()
    bucket.REFUSALS.clear()
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 20
    assert not on_the_disk(tmp_path)


def test_several_processes_are_refused_before_any_work(monkeypatch):
    workdir.check(epath.Path(RUN), Experiment(name="mine"))
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ConfigError) as refused:
        workdir.check(epath.Path(RUN), Experiment(name="mine"))
    assert str(refused.value) == (
        "--workdir=s3://bucket/run: 2 processes write one checkpoint together, to directories and to gs:// alone, "
        "since Orbax knows no other store; mount the bucket (mountpoint-s3, for example) and name the directory. Data "
        "may lie in s3:// as it is, and the run of one process, too."
    )
