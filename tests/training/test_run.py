"""Whole runs: what they leave behind, and that being stopped, moved or damaged on the way changes nothing of it."""

import contextlib
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from etils import epath

from hybridlm.cli.main import main
from hybridlm.config.exit_codes import ExitCode
from hybridlm.storage.checkpoints import Checkpoints
from hybridlm.training import loop, run, watch
from hybridlm.training.goodput import Goodput
from hybridlm.training.loop import Preempted
from hybridlm.training.session import first_state, open_session
from hybridlm.training.signals import Preemption
from hybridlm.training.watch import Watch
from hybridlm.training.writers import Writers
from tests.end_to_end import tiny
from tests.end_to_end.results import lines, scores
from tests.fixtures.small_run import devices

pytestmark = pytest.mark.usefixtures("small_and_plain")


def test_a_run_leaves_its_numbers_and_its_origin(trained):
    names = {path.name for path in trained.iterdir()}
    assert names >= {"scores.json", "scores.csv", "tokens.parquet", "metrics.jsonl", "config.json"}
    assert names >= {"environment.json", "tensorboard", "vocabulary", "checkpoints", "data"}


def test_every_logged_step_tells_the_loss_of_every_objective_and_category(trained):
    steps = [line for line in lines(trained) if "loss/ar" in line]
    assert [line["step"] for line in steps] == list(range(1, 21))
    for line in steps:
        for name in ("ar", "prefix", "block", "masked"):
            assert f"loss/{name}" in line
            for family in ("domain", "digits", "word_place"):
                assert any(key.startswith(f"nll/{name}/{family}/") for key in line)
        assert line["train/bad_steps"] == 0
    assert sum(line["loss/ar"] for line in steps[-3:]) < sum(line["loss/ar"] for line in steps[:3]), "it learns"


def test_the_end_is_logged_as_it_is_reported(trained):
    (last,) = [line for line in lines(trained) if "validation/loss/ar" in line]
    _, rows = scores(trained)
    reported = {row["column"]: row["mean"] for row in rows if row["family"] == "all"}
    expected = {f"validation/loss/{name.replace(' ', '_')}": mean for name, mean in reported.items()}
    assert last == pytest.approx({"step": 20} | expected, rel=1e-12)


def test_nothing_imports_tensorflow(trained):
    assert not {"tensorflow", "tensorflow_text", "seqio"} & set(sys.modules)


def test_a_start_waits_for_no_tables_or_plots():
    loaded = "import sys, hybridlm.training.run; print({'matplotlib', 'pandas', 'scipy', 'jinja2'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "set()\n"


def test_running_a_finished_run_again_changes_nothing_and_says_so(trained, text, tmp_path, capsys):
    again = shutil.copytree(trained, tmp_path / "again")
    capsys.readouterr()
    assert run.train(tiny.experiment(text), again) == ExitCode.DONE
    told = capsys.readouterr().err
    assert told.startswith(
        f"this run is finished: step 20 of 20 is in {again}/checkpoints, and nothing is trained. Its held-out text is "
        "read again, and the report is written anew.\n"
    )
    assert "resuming" not in told and "goodput" not in told, "no time was lost since, and none is spent on steps"
    assert lines(again) == lines(trained)
    assert scores(again) == scores(trained)
    assert Checkpoints(again / "checkpoints", read_only=True).steps() == [15, 20]


class StopsAfter(Preemption):
    """A notice of preemption that arrives after some questions."""

    left = 0

    @property
    def requested(self):
        type(self).left -= 1
        return type(self).left < 0


def test_a_run_that_was_stopped_goes_on_bit_for_bit(trained, text, tmp_path, monkeypatch):
    monkeypatch.setattr(StopsAfter, "left", 8)
    with monkeypatch.context() as patch, pytest.raises(Preempted, match="stopped at step 9 with its state saved"):
        patch.setattr(watch, "Preemption", StopsAfter)
        run.train(tiny.experiment(text), tmp_path)
    assert Checkpoints(tmp_path / "checkpoints", read_only=True).steps() == [5, 9]
    assert run.train(tiny.experiment(text), tmp_path) == ExitCode.DONE
    assert lines(tmp_path) == lines(trained)
    assert scores(tmp_path) == scores(trained)


def copied(trained, tmp_path, *without):
    """The run as it was before some of its checkpoints were written."""
    directory = epath.Path(shutil.copytree(trained, tmp_path / trained.name))
    for step in without:
        (directory / "checkpoints" / str(step)).rmtree()
    return directory


def test_another_mesh_goes_on_from_the_same_bits(trained, text, tmp_path):
    one_device = open_session(tiny.experiment(text), copied(trained, tmp_path / "one", 20))
    changes = {"mesh.data": 2, "mesh.fsdp": 2, "mesh.tensor": 2}
    with devices(8):
        eight = open_session(tiny.experiment(text, **changes), copied(trained, tmp_path / "eight", 20))
    before, state = first_state(one_device), first_state(eight)
    assert len(state.params["embedding"]["tokens"].sharding.device_set) == 8
    jax.tree.map(np.testing.assert_array_equal, state, before)

    with contextlib.closing(Writers(eight.directory, resume_step=15)) as writers, Preemption() as preemption:
        loop.run(eight, state, writers, Watch(preemption, Goodput()), 0.0, lambda state: {})
    eight.checkpoints.close()
    found, expected = lines(eight.directory)[-5:], lines(trained)[-6:-1]
    assert [line["step"] for line in found] == [16, 17, 18, 19, 20]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def flip_a_bit(directory):
    """In the largest file of the arrays."""
    directory = pathlib.Path(directory)
    path = max((path for path in directory.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    return path.relative_to(directory)


def test_after_a_flipped_bit_a_run_goes_on_from_the_checkpoint_before(trained, text, tmp_path, caplog):
    directory = copied(trained, tmp_path)
    name = flip_a_bit(directory / "checkpoints" / "20")
    assert run.train(tiny.experiment(text), directory) == ExitCode.DONE
    assert f"checkpoint 20 is damaged and left out: {name} has other bytes than when it was sealed" in caplog.text
    assert scores(directory) == scores(trained)
    assert lines(directory) == lines(trained)


def test_without_any_whole_checkpoint_a_run_stops_and_says_so(trained, text, tmp_path, capsys):
    directory = copied(trained, tmp_path, 15)
    flip_a_bit(directory / "checkpoints" / "20")
    words = [f"--config={tiny.__file__}", f"--config.data.sources={text}", f"--workdir={directory}"]
    assert main(["train", *words]) == ExitCode.IO
    assert "every one is damaged" in capsys.readouterr().err


def test_a_run_that_stays_non_finite_stops_with_its_last_finite_state(text, tmp_path, capsys):
    changes = {"optimizer.learning_rate": "1e30", "training.patience": "3", "checkpoint.every": "1"}
    words = [f"--config.{name}={value}" for name, value in (changes | {"data.sources": text}).items()]
    assert main(["train", f"--config={tiny.__file__}", f"--workdir={tmp_path}", *words]) == ExitCode.DIVERGED
    assert "loss or gradient was not finite for 3 steps in a row" in capsys.readouterr().err
    assert lines(tmp_path)[-1]["train/bad_steps"] == 3
    state = first_state(open_session(tiny.experiment(text, **changes), epath.Path(tmp_path)))
    assert int(state.bad) < 3, "what is saved is from before the end"
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_a_run_stopped_in_its_last_reading_still_logs_it(trained, text, tmp_path, monkeypatch):
    directory = copied(trained, tmp_path)
    monkeypatch.setattr(StopsAfter, "left", 2)
    with monkeypatch.context() as patch, pytest.raises(Preempted, match="step 20 is saved"):
        patch.setattr(watch, "Preemption", StopsAfter)
        patch.setattr(run, "headline", lambda found: pytest.fail("it was not read to the end"))
        run.train(tiny.experiment(text), directory)
    before = (directory / "metrics.jsonl").read_text().splitlines()
    (directory / "metrics.jsonl").write_text("".join(f"{line}\n" for line in before[:-1]))
    assert run.train(tiny.experiment(text), directory) == ExitCode.DONE
    assert lines(directory) == lines(trained)


def test_readings_between_are_logged_too(trained, text, tmp_path):
    assert run.train(tiny.experiment(text, **{"evaluation.every": 10}), tmp_path) == ExitCode.DONE
    found = [line for line in lines(tmp_path) if "validation/loss/ar" in line]
    assert [line["step"] for line in found] == [10, 20]
    assert found[-1] == lines(trained)[-1], "reading changes nothing"
    assert found[0]["validation/loss/ar"] > found[1]["validation/loss/ar"]


def test_a_refused_run_does_not_own_its_directory(text, tmp_path, capsys):
    words = ["train", f"--config={tiny.__file__}", f"--config.data.sources={text}", f"--workdir={tmp_path}"]
    assert main([*words, "--config.mesh.data=4"]) == ExitCode.CONFIG
    assert "do not multiply to the 1 devices" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says", "left"),
    [
        ("data.sources=no-such-text", "names no file", []),
        ("optimizer.name=optax:lionn", "did you mean 'lion'?", []),
        ("training.wandb=mine", "training.wandb='mine' needs Weights & Biases", []),
        # the rows are there for the next try
        ("evaluation.readings.digits={'objective': {}}", "name other columns of the report", ["data"]),
    ],
)
def test_a_refused_run_leaves_no_directory_but_that_of_its_rows(
    text, tmp_path, capsys, monkeypatch, change, says, left
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    workdir = tmp_path / "runs" / "mine"
    words = ["train", f"--config={tiny.__file__}", f"--config.data.sources={text}", f"--workdir={workdir}"]
    assert main([*words, f"--config.{change}"]) == ExitCode.CONFIG
    assert says in capsys.readouterr().err
    assert [path.name for path in workdir.glob("*")] == left
    assert (tmp_path / "runs").exists() == bool(left)


def test_the_directory_of_another_run_is_refused(trained, text, capsys):
    words = ["train", f"--config={tiny.__file__}", f"--config.data.sources={text}", f"--workdir={trained}"]
    assert main([*words, "--config.seed=1"]) == ExitCode.CONFIG
    assert "config.seed: the run has 0, this command 1" in capsys.readouterr().err
