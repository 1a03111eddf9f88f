"""Config files and the overrides typed after them."""

import pytest

from hybridlm.config.command_line import CHECKOUT, changed, load, named
from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment

FILE = """
from hybridlm.config.experiment import Experiment

def get_config():
    return Experiment(name="from a file")
"""


def refused(call, *arguments) -> str:
    with pytest.raises(ConfigError) as refusal:
        call(*arguments)
    return str(refusal.value)


def test_text_becomes_a_value_of_the_type_that_stands_there(tmp_path):
    (tmp_path / "run.py").write_text(FILE)
    typed = {
        "training.steps": "100",
        "optimizer.learning_rate": "1e-4",
        "model.tied_head": "false",
        "data.sources": "a.txt,b.jsonl",
        "data.domains": "('code', 'prose')",
        "name": "renamed",
        "evaluation.combinations": "{'mean': {'experts': ['ar', 'prefix']}}",
    }
    config = load(str(tmp_path / "run.py"), typed)
    assert config.evaluation.combinations["mean"].experts == ("ar", "prefix")
    assert (config.training.steps, config.optimizer.learning_rate, config.model.tied_head) == (100, 1e-4, False)
    assert (config.data.sources, config.data.domains) == (("a.txt", "b.jsonl"), ("code", "prose"))
    assert config.name == "renamed"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({"training.steps": "many"}, "--config.training.steps=many must be of type int, as 600 is."),
        ({"model.tied_head": "maybe"}, "--config.model.tied_head=maybe must be of type bool, as True is."),
        ({"training.stepz": "1"}, "--config.training.stepz does not exist; did you mean 'steps'?"),
        ({"model": "large"}, "--config.model='large' must be named values, not str."),
        ({"seed.of": "1"}, "--config.seed.of does not exist: --config.seed=0 has no parts."),
        (
            {"objectives.two": "{'layout': 'causal', 'ratio': 0.0}"},
            "--config.objectives.two.ratio=0.0 must be positive; leave an unused objective out.",
        ),
        (
            {"objectives.ar.rate": "2"},
            "--config.objectives.ar: masked_lm needs 0 < rate <= 1, keep < 1 (or nothing is hidden) and keep + random "
            "<= 1; got rate=2.0, keep=0.1, random=0.1.",
        ),
        (
            {"evaluation.readings.ar.objective.layout": "causel"},
            "--config.evaluation.readings.ar.objective.layout='causel' is not one of causal, prefix, bidirectional, "
            "blocks, random_order; did you mean 'causal'?",
        ),
        (
            {"evaluation.readings.ar.samples": "0"},
            "--config.evaluation.readings.ar.samples=0 must be at least 1.",
        ),
    ],
)
def test_text_that_cannot_be_one_is_refused(typed, text):
    assert refused(changed, Experiment(name="run"), typed) == text


def test_a_file_that_gives_no_experiment_is_refused(tmp_path):
    path = tmp_path / "run.py"
    path.write_text("steps = 3")
    assert refused(load, str(path), {}) == (
        f"--config={path} has no function get_config(); it must return an Experiment."
    )
    path.write_text("def get_config():\n    return {'steps': 3}")
    assert refused(load, str(path), {}) == (
        f"get_config() of {path} returned dict; it must return a hybridlm Experiment."
    )


WHAT = (
    " A config is a Python file with a function get_config(); examples are in configs/ of a checkout of hybridlm, and "
    "not in an installed package."
)
SHIPPED = " is no file in {here}, where relative paths start; did you mean {checkout}/configs/corpus.py?"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("mine/quikstart.py", " is no file; did you mean mine/quickstart.py?" + WHAT),
        ("mine/quickstart", " is no file; did you mean mine/quickstart.py?" + WHAT),
        ("mine/other.py", " is no file; in {here}/mine there is 7b.py, quickstart.py." + WHAT),
        ("their/own.py", " is no file; nor is there a directory their in {here}, where relative paths start." + WHAT),
        ("mine", " is a directory, and a config is a Python file; in it: 7b.py, quickstart.py."),
        ("corpus.py", SHIPPED),
        ("configs/corpus.py", SHIPPED),
    ],
)
def test_a_path_with_no_config_is_told_which_there_are(asked, text, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    for name in ("quickstart.py", "7b.py", "quikstart.txt"):
        (tmp_path / "mine" / name).touch()
    monkeypatch.chdir(tmp_path)
    assert refused(load, asked, {}) == f"--config={asked}" + text.format(here=tmp_path, checkout=CHECKOUT)


def test_a_value_is_found_by_its_name_alone():
    assert named("learning_rate") == ["optimizer.learning_rate"]
    assert named("seed") == ["seed", "evaluation.seed"]
    assert named("training.steps") == ["training.steps"]
    assert named("stepz") == []


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import nothing_of_this_name", ", line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def get_config():\n    return undefined", ", line 2: NameError: name 'undefined' is not defined"),
        ("# Notes\nsome prose", ": SyntaxError: invalid syntax ({name}, line 2)"),
    ],
)
def test_an_error_in_the_file_is_named_with_its_line(tmp_path, source, text):
    path = tmp_path / "run.py"
    path.write_text(source)
    assert refused(load, str(path), {}) == f"--config={path}{text.format(name=path.name)}"


def test_an_objective_that_a_file_writes_is_named_by_its_line(tmp_path):
    path = tmp_path / "run.py"
    path.write_text(
        """from hybridlm.config.objective import autoregressive, masked_lm

def get_config():
    return {
        "ar": autoregressive(),
        "masked": masked_lm(ratio=0.0),
    }
"""
    )
    assert refused(load, str(path), {}) == (
        f"--config={path}, line 6: objective.ratio=0.0 must be positive; leave an unused objective out."
    )


def test_what_the_file_itself_refuses_is_said_as_it_is(tmp_path):
    path = tmp_path / "run.py"
    path.write_text(FILE.replace('name="from a file"', 'name="x", objectives={}'))
    assert refused(load, str(path), {}) == "objectives is empty; a model learns from at least one."
