"""An odd step, or any other, is taken again bit for bit, on a disk and in a store, and its run is left as it is."""

import itertools
import json

import pytest
from etils import epath

from hybridlm.cli.main import main
from hybridlm.config.errors import ConfigError
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.storage import override
from hybridlm.storage import durable, workdir
from hybridlm.training import run
from hybridlm.training.recording import Diverged
from hybridlm.training.replay import Replayed, replay
from hybridlm.training.session import open_session
from tests.faults import bucket, small
from tests.fixtures.small_run import devices

CHANGES = {"training.steps": 96, "operation.spike_deviations": 1.5, "checkpoint.every": 16, "checkpoint.keep": 1}
CHANGES |= {"operation.compile_cache": "gs://bucket/compiled"}
CACHES = []


@pytest.fixture(scope="module")
def written(text, prepared):
    """The files of a run that finds some of its own steps odd, being told to look closely; it lay in a store."""
    directory = epath.Path("gs://bucket/recorded")
    with bucket.serving(), devices(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_report", lambda *_: None)
        patch.setattr(run.jax.config, "update", lambda *told: CACHES.append(told))
        assert run.train(config(text, prepared, CHANGES), directory) == ExitCode.DONE
        return {path.relative_to(directory): path.read_bytes() for path in durable.files(directory)}


@pytest.fixture(scope="module")
def recorded(written, place):
    """The directory of that run, there and on a disk."""
    for name, content in written.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def config(text, prepared, changes):
    there = {"data.sources": [str(text)], "data.prepared": str(prepared.directory)}
    return override(small.get_config(), changes | there)


@pytest.fixture(autouse=True)
def one_device():
    with devices(1):
        yield


def odd(directory):
    told = [json.loads(path.read_text()) for path in (directory / "anomalies").iterdir()]
    return sorted(told, key=lambda one: one["step"])


def test_the_checkpoint_before_an_odd_step_stays(recorded):
    first, *_ = odd(recorded)
    assert first["step"] > 64 and first["checkpoint"] == (first["step"] - 1) // 16 * 16
    assert (recorded / "checkpoints" / str(first["checkpoint"])).exists(), "though only one is kept"


def test_an_odd_step_is_taken_again_bit_for_bit(recorded, capsys):
    first, *_ = odd(recorded)
    assert main(["replay", f"--workdir={recorded}", f"--step={first['step']}"]) == ExitCode.DONE
    said = capsys.readouterr().out
    assert f"the run said of step {first['step']}: {first['odd']}" in said
    assert f"step {first['step']}, from the checkpoint of step {first['checkpoint']}" in said
    assert f"recorded {first['loss']}" in said and f"replayed {first['loss']}" in said
    assert said.startswith("8 rows of text:\n") and said.endswith("the bits agree\n")


def test_a_step_that_was_not_finite_is_taken_again_too(text, prepared, place, capsys):
    directory = place / "not finite"
    changes = {"optimizer.learning_rate": 1e30, "training.patience": 2, "checkpoint.every": 1}
    with pytest.raises(Diverged, match="loss or gradient was not finite"):
        run.train(config(text, prepared, changes), directory)
    (first,) = odd(directory)
    assert (first["odd"], first["checkpoint"]) == ("loss is nan", first["step"] - 1)
    assert main(["replay", f"--workdir={directory}", f"--step={first['step']}"]) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "recorded nan" in said and "replayed nan" in said and said.endswith("the bits agree\n")


def manifests(directory):
    return {str(path): path.read_bytes() for path in durable.files(directory / "checkpoints") if path.suffix == ".json"}


def test_any_step_of_the_metrics_is_too_and_nothing_is_changed(recorded):
    before = manifests(recorded)
    found = replay(recorded, 5)
    assert found.is_equal and found.recorded is not None and (found.begun, found.odd) == (0, "")
    assert manifests(recorded) == before


def test_bits_that_differ_are_said_to(recorded, capsys):
    path = recorded / "anomalies" / "3.json"
    first, *_ = odd(recorded)
    rows = rows_of(recorded, 3)
    path.write_text(json.dumps(first | {"step": 3, "rows": rows, "loss": "1.5"}))
    try:
        assert main(["replay", f"--workdir={recorded}", "--step=3"]) == ExitCode.DIVERGED
        assert "the bits differ" in capsys.readouterr().out
        path.write_text(json.dumps(first | {"step": 3, "rows": rows[::-1]}))
        with pytest.raises(ConfigError, match="the rows of step 3 are not those the run read"):
            replay(recorded, 3)
    finally:
        path.unlink()


def test_where_nothing_was_recorded_no_bits_agree(monkeypatch, capsys):
    alone = Replayed(step=3, begun=0, loss=1.5, grad_norm=2.0, recorded=None, texts=("a",), odd="")
    monkeypatch.setattr("hybridlm.training.replay.replay", lambda directory, step: alone)
    assert main(["replay", "--workdir=runs/a", "--step=3"]) == ExitCode.DONE
    said = capsys.readouterr().out
    assert said.startswith("1 rows of text:\n") and said.endswith("nothing was recorded to compare with\n")


def rows_of(directory, step):
    return open_session(workdir.read_config(directory), directory, read_only=True).stream.global_indices(step - 1)


@pytest.mark.parametrize("step", [0, 97])
def test_a_step_that_never_was_is_refused(recorded, step):
    with pytest.raises(ConfigError, match=f"--step={step} is no step of this run; its steps are 1 to 96"):
        replay(recorded, step)


def test_what_is_compiled_is_kept_where_the_config_says(recorded):
    assert ("jax_compilation_cache_dir", "gs://bucket/compiled") in CACHES


def test_every_line_says_where_time_went(recorded):
    told = [json.loads(line) for line in (recorded / "metrics.jsonl").read_text().splitlines()]
    last = told[-1]
    assert last["goodput/compile_s"] > 0 and last["goodput/step_s"] > 0 and last["goodput/checkpoint_s"] > 0
    assert last["goodput/lost_s"] == 0
    assert all(a["goodput/step_s"] <= b["goodput/step_s"] for a, b in itertools.pairwise(told))
