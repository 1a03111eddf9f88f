"""Whole runs: what they leave behind, and that being stopped, moved or damaged on the way changes nothing of it."""

import dataclasses
import json
import shutil
import sys

import jax
import numpy as np
import pytest

from hybridlm.config.exit_codes import ExitCode
from hybridlm.reports import html
from hybridlm.training import run
from hybridlm.training.checkpoints import Checkpoints
from hybridlm.training.loop import Preempted
from hybridlm.training.signals import Preemption
from tests.end_to_end import tiny

pytestmark = [pytest.mark.xdist_group("training"), pytest.mark.usefixtures("one_device")]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch, trained):
    """The page was drawn once, for `trained`."""
    monkeypatch.setattr(html, "write", lambda *arguments, **options: None)


def lines(directory):
    """Logged metrics, less what a clock measured."""
    read = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("perf/")} for line in read]


def scores(directory):
    """All that the report says of columns and labels."""
    found = json.loads((directory / "scores.json").read_text())
    return found["columns"], found["rows"]


def stored(directory, step):
    """Every array of a checkpoint, bit by bit."""
    files = sorted(path for path in (directory / "checkpoints" / str(step) / "state").rglob("*") if path.is_file())
    return files


def test_a_run_leaves_its_numbers_its_pictures_and_its_origin(trained):
    names = {path.name for path in trained.iterdir()}
    assert names >= {"report.html", "scores.json", "scores.csv", "tokens.parquet", "metrics.jsonl", "config.json"}
    assert names >= {"environment.json", "tensorboard", "vocabulary", "checkpoints", "data"}
    assert "<svg" in (trained / "report.html").read_text()


def test_every_logged_step_tells_the_loss_of_every_objective_and_category(trained):
    steps = [line for line in lines(trained) if "loss/ar" in line]
    assert [line["step"] for line in steps] == list(range(1, 21))
    for line in steps:
        for name in ("ar", "prefix", "block", "masked"):
            assert f"loss/{name}" in line
            assert {f"nll/{name}/domain/{domain}" for domain in ("code", "numbers", "prose")} <= set(line)
            assert any(key.startswith(f"nll/{name}/digits/") for key in line)
        assert line["train/bad_steps"] == 0
    assert sum(line["loss/ar"] for line in steps[-3:]) < sum(line["loss/ar"] for line in steps[:3]), "it learns"


def test_the_end_is_logged_as_it_is_reported(trained):
    (last,) = [line for line in lines(trained) if "validation/loss/ar" in line]
    _, rows = scores(trained)
    reported = {row["column"]: row["mean"] for row in rows if row["family"] == "all"}
    assert last == {"step": 20} | {f"validation/loss/{name.replace(' ', '_')}": mean for name, mean in reported.items()}


def test_nothing_imports_tensorflow(trained):
    assert not {"tensorflow", "tensorflow_text", "seqio"} & set(sys.modules)


def test_running_a_finished_run_again_changes_nothing(trained, text, tmp_path):
    again = shutil.copytree(trained, tmp_path / "again")
    assert run.train(tiny.experiment(text), again) == ExitCode.DONE
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
        patch.setattr(run, "Preemption", StopsAfter)
        run.train(tiny.experiment(text), tmp_path)
    assert Checkpoints(tmp_path / "checkpoints", read_only=True).steps() == [5, 9]
    assert run.train(tiny.experiment(text), tmp_path) == ExitCode.DONE
    assert lines(tmp_path) == lines(trained)
    assert scores(tmp_path) == scores(trained)
