"""The same faults where nothing can be renamed or appended to: a store of objects, which Orbax and we write to."""

import concurrent.futures
import contextlib
import itertools
import json
import math
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.sharding import SingleDeviceSharding

from hybridlm.config.errors import ConfigError
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import override
from hybridlm.data import directories, retries
from hybridlm.storage import digests, durable, lines, workdir
from hybridlm.storage.checkpoints import CheckpointError, Checkpoints
from hybridlm.training import run, watch, writers
from hybridlm.training.signals import Preempted, Preemption
from hybridlm.training.writers import Writers
from tests.end_to_end import results
from tests.faults import bucket, small
from tests.fixtures.small_run import devices

RUN = "gs://bucket/run"
FLIPS = 64


@pytest.fixture(scope="module", autouse=True)
def serving():
    with bucket.serving():
        yield


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    bucket.clear()
    monkeypatch.setattr(retries, "PAUSES", (0.0, 0.0))


@pytest.fixture
def two_steps():
    with contextlib.closing(Checkpoints(f"{RUN}/checkpoints")) as checkpoints:
        for step in (10, 20):
            checkpoints.save(step, {"params": jnp.arange(64.0) + step}, {"told": step})
    return dict(bucket.OBJECTS)


def restored(step):
    target = {"params": jax.ShapeDtypeStruct((64,), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))}
    return Checkpoints(f"{RUN}/checkpoints", read_only=True).restore(step, target)["params"]


def names(prefix):
    return sorted(name.removeprefix(prefix) for name in bucket.OBJECTS if name.startswith(prefix))


def test_a_checkpoint_comes_back_and_its_manifest_is_written_last(two_steps):
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 20
    np.testing.assert_array_equal(restored(20), np.arange(64.0) + 20)
    written = [name for name in two_steps if name.startswith("bucket/run/checkpoints/20/")]
    assert written[-1].endswith("/manifest.json")


def test_only_the_newest_are_kept(two_steps):
    with contextlib.closing(Checkpoints(f"{RUN}/checkpoints", keep=2)) as checkpoints:
        checkpoints.save(30, {"params": jnp.zeros(64)}, {})
    assert {name.split("/")[0] for name in names("bucket/run/checkpoints/")} == {"20", "30"}


def test_every_flipped_bit_and_every_cut_is_found_and_the_step_before_is_used(two_steps):
    random, checked = np.random.default_rng(0), epath.Path(f"{RUN}/checkpoints/20")
    own = [name for name in two_steps if name.startswith("bucket/run/checkpoints/20/")]
    for name in random.choice([name for name in own if two_steps[name]], FLIPS):
        content = bytearray(two_steps[name])
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
        bucket.OBJECTS[name] = bytes(content)
        assert digests.damage(checked), name
        bucket.OBJECTS[name] = two_steps[name]
    for name in own:
        bucket.OBJECTS[name] = two_steps[name][:-1] if two_steps[name] else b"?"
        assert digests.damage(checked), name
        del bucket.OBJECTS[name]
        assert digests.damage(checked), name
        bucket.OBJECTS[name] = two_steps[name]
    bucket.OBJECTS[own[0]] += b"!"
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 10
    assert names("bucket/run/checkpoints/20.damaged-1/") and not names("bucket/run/checkpoints/20/")


def test_what_a_kill_left_is_no_checkpoint_and_is_removed(two_steps):
    bucket.OBJECTS["bucket/run/checkpoints/30.saving"] = b""
    bucket.OBJECTS["bucket/run/checkpoints/30/state/half"] = b"..."
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 20
    assert not [name for name in bucket.OBJECTS if "checkpoints/30" in name]


def test_a_refusal_that_passes_is_not_the_end(two_steps, caplog):
    bucket.REFUSALS += [ConnectionError("503"), TimeoutError("slow down")]
    durable.replace(epath.Path(f"{RUN}/config.json"), "{}")
    assert bucket.OBJECTS["bucket/run/config.json"] == b"{}"
    assert "503; trying again in 0 s" in caplog.text


@pytest.mark.parametrize("error", [PermissionError("no"), OSError(28, "No space left on device")])
def test_a_refusal_that_lasts_is_met_once(error):
    bucket.REFUSALS += [error]
    with pytest.raises(type(error)):
        durable.replace(epath.Path(f"{RUN}/config.json"), "{}")
    assert not bucket.REFUSALS


def test_attempts_end(two_steps):
    bucket.REFUSALS += [ConnectionError("503")] * 30
    with pytest.raises(CheckpointError, match="checkpoint 30 could not be saved.*503"):
        Checkpoints(f"{RUN}/checkpoints").save(30, {"params": jnp.zeros(64)}, {})
    bucket.REFUSALS.clear()
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 20


@pytest.mark.parametrize("ways", [{"fsspec", "http"}, {"http"}], ids=["at once", "in the background"])
def test_a_full_store_is_told_of_and_leaves_older_steps_and_no_debris(two_steps, ways):
    checkpoints = Checkpoints(f"{RUN}/checkpoints")
    bucket.FULL |= ways
    with pytest.raises(CheckpointError, match="checkpoint 30 could not be saved.*Older checkpoints are intact"):
        checkpoints.save(30, {"params": jnp.zeros(64)}, {})
        concurrent.futures.wait([checkpoints._pending])
        checkpoints.poll()
    bucket.FULL.clear()
    checkpoints.close()
    assert {name.split("/")[0] for name in names("bucket/run/checkpoints/")} == {"10", "20"}
    assert Checkpoints(f"{RUN}/checkpoints").latest_valid() == 20


def test_a_preparation_that_was_cut_off_while_it_was_copied_there_is_made_again():
    target = epath.Path(f"{RUN}/data")
    bucket.OBJECTS |= {"bucket/run/data/arriving": b"", "bucket/run/data/a": b"of the process before"}
    bucket.REFUSALS += [ConnectionError("503")]
    with directories.whole(target, last="z", recipe={}) as partial, directories.published(partial, target, "z"):
        for name in ("a", "b", "z"):
            (partial / name).write_text(name)
    assert {name: bucket.OBJECTS[f"bucket/run/data/{name}"] for name in names("bucket/run/data/")} == {
        "a": b"a",
        "b": b"b",
        "z": b"z",
    }


def write(steps, **options):
    with contextlib.closing(Writers(RUN, **options)) as sink:
        for step in steps:
            sink.write(step, {"train/loss": float(step), "goodput/share": math.nan})
        return names("bucket/run/metrics.jsonl")


def told(path=f"{RUN}/metrics.jsonl"):
    return [json.loads(line)["step"] for line in lines.read(epath.Path(path))]


def test_metrics_are_numbered_parts_until_they_are_gathered():
    assert write([10, 20]) == ["", ".parts/000000000", ".parts/000000001"]
    assert names("bucket/run/metrics.jsonl") == [""] and told() == [10, 20]
    assert write([30], resume_step=10) == ["", ".parts/000000000"]
    assert told() == [10, 30]


def test_parts_of_a_killed_run_are_read_and_count_once():
    write([10])
    whole = bucket.OBJECTS["bucket/run/metrics.jsonl"]
    bucket.OBJECTS["bucket/run/metrics.jsonl.parts/000000000"] = whole  # killed between gathering and removing
    bucket.OBJECTS["bucket/run/metrics.jsonl.parts/000000001"] = whole.replace(b"10", b"20")
    assert told() == [10, 20]
    write([], resume_step=20)
    assert told() == [10, 20] and names("bucket/run/metrics.jsonl") == [""]


def test_tensorboard_gets_files_that_follow_each_other(monkeypatch):
    clock = itertools.count(step=100.0)
    monkeypatch.setattr(writers, "time", SimpleNamespace(**vars(time) | {"monotonic": lambda: next(clock)}))
    write([10, 20, 30])
    events = names("bucket/run/tensorboard/")
    assert len(events) >= 2 and events == sorted(events) and all("tfevents" in name for name in events)


def test_a_run_owns_its_directory_there_too():
    mine, directory = Experiment(name="mine"), epath.Path(RUN)
    workdir.claim(directory, mine)
    workdir.check(directory, mine)
    with pytest.raises(ConfigError, match="config.name: the run has 'mine', this command 'other'"):
        workdir.check(directory, Experiment(name="other"))


class StopsAt(Preemption):
    """A notice of preemption at the seventh question."""

    asked = 0

    @property
    def requested(self):
        self.asked += 1
        return self.asked >= 7


@pytest.mark.slow
@pytest.mark.parametrize("place", [RUN, "s3://bucket/run"])
def test_a_run_that_was_stopped_there_goes_on_with_the_bits_of_one_on_a_disk(place, text, tmp_path, monkeypatch):
    changes = {"data.sources": [str(text)], "training.steps": 12, "checkpoint.every": 5, "training.log_every": 1}
    experiment = override(small.get_config(), changes)
    with devices(1):
        with monkeypatch.context() as patch, pytest.raises(Preempted, match="stopped at step 7 with its state saved"):
            patch.setattr(watch, "Preemption", StopsAt)
            run.train(experiment, place)
        assert run.train(experiment, place) == ExitCode.DONE
        assert run.train(experiment, tmp_path / "run") == ExitCode.DONE
    there = [json.loads(line) for line in lines.read(epath.Path(f"{place}/metrics.jsonl"))]
    here = results.lines(tmp_path / "run")
    assert [{name: line[name] for name in wanted} for line, wanted in zip(there, here, strict=True)] == here
    report = json.loads(epath.Path(f"{place}/scores.json").read_text())
    assert (report["columns"], report["rows"]) == results.scores(tmp_path / "run")
    assert names("bucket/run/tokens.parquet") == names("bucket/run/report.html") == [""]
