"""Every step appears once in metrics.jsonl; the other sinks may break, but only themselves."""

import contextlib
import importlib.machinery
import json
import math
import struct
import sys
import types

import pytest
from etils import epath
from tensorboardX.proto.event_pb2 import Event, SessionLog

from hybridlm.config.errors import ConfigError
from hybridlm.training import writers
from hybridlm.training.writers import HEADLINES, Writers


def write(workdir, steps, values, **options):
    """One process's share of a run."""
    with contextlib.closing(Writers(workdir, **options)) as sink:
        for step in steps:
            sink.write(step, values)


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def events(workdir):
    """All events of a TensorBoard directory: each record is a length, two checksums and a message between them."""
    found = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("Q", content[:8])
            found.append(Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return found


def scalars(workdir):
    return {(event.step, value.tag): value.simple_value for event in events(workdir) for value in event.summary.value}


def test_each_step_is_one_line_that_can_be_read_at_once(tmp_path):
    workdir = tmp_path / "new" / "workdir"
    with contextlib.closing(Writers(workdir)) as sink:
        sink.write(10, {"train/loss": 2.5, "perf/mfu": math.nan, "train/grad_norm": math.inf})
        assert lines(workdir) == [{"step": 10, "train/loss": 2.5, "perf/mfu": None, "train/grad_norm": None}]


def test_a_resumed_run_repeats_no_step(tmp_path):
    write(tmp_path, (10, 20, 30), {"train/loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "train/lo')  # killed while writing
    write(tmp_path, [30], {"train/loss": 2.0}, resume_step=20)
    assert [(line["step"], line["train/loss"]) for line in lines(tmp_path)] == [(10, 1.0), (20, 1.0), (30, 2.0)]


def test_a_run_from_scratch_starts_the_file_anew(tmp_path):
    write(tmp_path, [10], {"train/loss": 1.0})
    write(tmp_path, [], {})
    assert lines(tmp_path) == []


def test_tensorboard_shows_headlines_and_the_file_has_all(tmp_path):
    values = {"train/loss": 1.5, "nll/ar/bracket/open": 0.5}
    write(tmp_path, [10], values)
    assert scalars(tmp_path) == {(10, "train/loss"): 1.5}
    assert lines(tmp_path) == [{"step": 10, **values}]


def test_tensorboard_shows_a_fixed_few_and_says_so_once(tmp_path, capsys):
    with contextlib.closing(Writers(tmp_path)) as sink:
        sink.write(1, {f"a{n}": 1.0 for n in range(HEADLINES - 1)})
        for step in (2, 3):
            sink.write(step, {f"b{n}": 1.0 for n in range(3)} | {"a0": 2.0})
    shown = scalars(tmp_path)
    assert {tag for _, tag in shown} == {f"a{n}" for n in range(HEADLINES - 1)} | {"b0"}
    assert shown[3, "a0"] == 2.0
    assert capsys.readouterr().err.count(f"shows the first {HEADLINES} headline metrics") == 1


def test_tensorboard_hides_what_a_killed_run_had_shown(tmp_path):
    write(tmp_path, [], {}, resume_step=20)
    (restart,) = [event for event in events(tmp_path) if event.session_log.status == SessionLog.START]
    assert restart.step == 21


def test_a_breaking_companion_warns_once_and_stops_nothing(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    with contextlib.closing(Writers(tmp_path)) as sink:
        monkeypatch.setattr(writers.EventsWriter, "write_event", full)
        for step in (1, 2):
            sink.write(step, {"train/loss": 1.0})
    assert len(lines(tmp_path)) == 2
    warnings = [record.message for record in caplog.records]
    assert warnings == [
        "TensorBoard is off for the rest of this run (metrics.jsonl goes on): [Errno 28] No space left on device"
    ]


def test_a_companion_that_cannot_start_stops_nothing(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file where a directory should be")
    write(tmp_path, [1], {"train/loss": 1.0})
    assert len(lines(tmp_path)) == 1
    assert "TensorBoard is off" in caplog.text


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in that remembers what it is told."""
    module = types.ModuleType("wandb")
    module.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    module.told = []
    run = types.SimpleNamespace(
        log=lambda values, step: module.told.append((step, values)), finish=lambda: module.told.append("finish")
    )
    module.init = lambda **options: module.told.append(options) or run
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_weights_and_biases_gets_everything_under_one_run_for_all_restarts(tmp_path, wandb):
    for resume_step in (None, 1):
        values = {"train/loss": 1.0, "nll/ar/case/upper": 2.0}
        write(tmp_path, [2], values, wandb_project="project", resume_step=resume_step)
    first, *_, second, logged, finish = wandb.told
    assert first == second
    assert first["project"] == "project" and first["resume"] == "allow"
    assert logged == (2, values)
    assert finish == "finish"


@pytest.mark.parametrize(("is_local", "beside"), [(True, "runs"), (False, "elsewhere")])
def test_weights_and_biases_keeps_its_files_on_a_disk(tmp_path, wandb, monkeypatch, is_local, beside):
    monkeypatch.setattr(writers, "is_local", lambda _: is_local)
    monkeypatch.setattr(writers.tempfile, "mkdtemp", lambda: str(tmp_path / "elsewhere"))
    writers._Wandb(epath.Path(tmp_path / "runs"), "project")
    assert wandb.told[0]["dir"] == str(tmp_path / beside)


def test_weights_and_biases_may_be_out_of_reach(tmp_path, wandb, caplog):
    def offline(**_):
        raise ConnectionError("no route to host")

    wandb.init = offline
    write(tmp_path, [1], {"train/loss": 1.0}, wandb_project="project")
    assert len(lines(tmp_path)) == 1
    assert "Weights & Biases is off for the rest of this run (metrics.jsonl goes on): no route to host" in caplog.text


def test_asking_for_what_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        ConfigError, match=r"training.wandb='mine' needs Weights & Biases.*pip install 'hybridlm\[wandb\]'"
    ):
        writers.check_installed("mine")


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "is_primary", lambda: False)
    write(tmp_path, [1], {"train/loss": 1.0})
    assert list(tmp_path.iterdir()) == []
