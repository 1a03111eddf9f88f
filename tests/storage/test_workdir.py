"""A directory belongs to one run, which says so in JSON and not in Python."""

import dataclasses
import json

import pytest
from etils import epath

from hybridlm import masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import override
from hybridlm.sharding import distributed
from hybridlm.storage import workdir


@pytest.fixture
def run():
    mask = masks.custom(lambda q, k: (q.position - k.position) % 4 == 0)
    return Experiment(name="mine", mask=mask)


@pytest.fixture
def directory(tmp_path, run):
    workdir.claim(epath.Path(tmp_path), run)
    return epath.Path(tmp_path)


def test_the_same_run_comes_back_to_it(directory, run):
    workdir.check(directory, run)
    assert workdir.read_config(directory) == run


def test_an_empty_or_missing_directory_is_anybodys(tmp_path, run):
    workdir.check(epath.Path(tmp_path), run)
    workdir.check(epath.Path(tmp_path) / "new", run)


def test_another_run_is_told_every_difference(directory, run):
    other = override(run, {"training.steps": 7, "optimizer.warmup": 1, "objectives.ar.predicts": "next", "seed": 3})
    with pytest.raises(ConfigError) as refused:
        workdir.check(directory, other)
    assert str(refused.value) == (
        f"--workdir={directory} belongs to another run; going on in it would mix the two. It differs in:\n"
        "  config.optimizer.warmup: the run has 50, this command 1\n"
        "  config.seed: the run has 0, this command 3\n"
        "  config.training.steps: the run has 600, this command 7\n"
        "Choose another --workdir, or go back to the stored values to resume."
    )


def test_another_mask_is_told_as_it_is_written(directory, run):
    with pytest.raises(ConfigError) as refused:
        workdir.check(directory, dataclasses.replace(run, mask=masks.causal() & masks.window(3)))
    assert str(refused.value).splitlines()[1] == (
        "  config.mask: the run has (((q.position - k.position) % 4) == 0), this command (causal() & window(left=3, "
        "right=0))"
    )


def test_a_mask_that_says_the_same_in_other_words_is_the_same(directory, run):
    workdir.claim(directory, dataclasses.replace(run, mask=masks.causal()))
    workdir.check(directory, dataclasses.replace(run, mask=masks.custom(lambda q, k: q.index >= k.index)))


def test_shares_of_sources_may_differ_since_their_checkpoint_decides(directory, run):
    workdir.check(directory, override(run, {"data.mixing": [{"shares": {"embedded": 1.0}}]}))


def test_a_config_from_before_a_value_could_be_set_has_its_default(directory, run):
    stored = json.loads((directory / "config.json").read_text())
    del stored["optimizer"]["clip"]
    (directory / "config.json").write_text(json.dumps(stored))
    workdir.check(directory, run)
    with pytest.raises(ConfigError, match="config.optimizer.clip: the run has 1.0, this command 2.0"):
        workdir.check(directory, override(run, {"optimizer.clip": 2.0}))


def test_what_changes_no_number_but_in_its_last_bits_may_differ(directory, run):
    workdir.check(directory, override(run, {"operation.hang_seconds": 9.0, "checkpoint.keep": 7, "mesh.tensor": 2}))


def test_a_password_in_a_config_is_refused_before_anything_is_written(directory, run):
    secret = override(run, {"data.sources": ("https://me:hunter2@host.example/text.jsonl",)})
    with pytest.raises(ConfigError) as refused:
        workdir.check(directory, secret)
    assert str(refused.value).startswith("the config holds a login (https://***@host.example): a config is kept in the")
    assert "hunter2" not in str(refused.value)


@pytest.fixture
def runs(tmp_path, run):
    """Two runs in one directory, beside a file and a directory that is none."""
    for name in ("quickstart", "long"):
        workdir.claim(epath.Path(tmp_path) / name, run)
    (tmp_path / "quickstart" / "checkpoints").mkdir()
    (tmp_path / "quickstar").mkdir()
    (tmp_path / "notes.txt").touch()
    return epath.Path(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("quikstart", "there is no such directory; did you mean {runs}/quickstart?"),
        ("other", "there is no such directory; in {runs} there is long, quickstart."),
        ("no/run", "there is no such directory; nor is there a directory {runs}/no."),
        ("quickstar", "config.json is missing."),
        ("quickstart/checkpoints", "config.json is missing. Did you mean {runs}/quickstart?"),
        ("", "config.json is missing. Did you mean {runs}/long or {runs}/quickstart?"),
        ("notes.txt", "it is a file."),
    ],
)
def test_what_holds_no_run_is_told_what_is_missing_and_which_runs_are_near(runs, name, text):
    asked = runs / name
    with pytest.raises(ConfigError) as refused:
        workdir.read_config(asked)
    expected = f"{asked} holds no run: {text.format(runs=runs)} Name the --workdir of a `hybridlm train`."
    assert str(refused.value) == expected


def test_a_config_that_was_cut_off_is_named(directory):
    (directory / "config.json").write_text('{"name": "mi')
    with pytest.raises(ConfigError) as refused:
        workdir.read_config(directory)
    assert str(refused.value).startswith(f"{directory}/config.json is not the config of a run (Unterminated string")
    assert str(refused.value).endswith("if another version of hybridlm wrote it, read it with that one.")


def test_a_run_is_no_file(tmp_path, run):
    file = epath.Path(tmp_path) / "file"
    file.touch()
    with pytest.raises(ConfigError) as refused:
        workdir.check(file, run)
    assert str(refused.value) == f"--workdir={file} is a file, and a run is a directory; choose another name."


def test_beside_it_stands_what_it_runs_on(directory):
    assert json.loads((directory / "environment.json").read_text())["packages"]["jax"]


def test_only_the_first_process_writes(tmp_path, run, monkeypatch):
    monkeypatch.setattr(distributed, "is_primary", lambda: False)
    workdir.claim(epath.Path(tmp_path) / "run", run)
    assert not (tmp_path / "run").exists()


def test_a_step_is_read_once_its_held_out_losses_are_written(tmp_path):
    directory = epath.Path(tmp_path)
    assert not workdir.is_read(directory, 5)
    (directory / workdir.METRICS).write_text('{"step": 5, "loss/ar": 1.0}\n{"step": 15, "validation/loss/ar": 1.0}\n')
    assert not workdir.is_read(directory, 5)
    assert workdir.is_read(directory, 15)
