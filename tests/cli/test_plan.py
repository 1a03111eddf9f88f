"""`hybridlm plan` refuses in a sentence, and prints a page, or a table where only that is asked for."""

import os

import pytest

from hybridlm.cli import main as command
from hybridlm.cli.plan import ALONE
from hybridlm.config.errors import ConfigError
from hybridlm.planning import page, plan, scaling

CONFIG = "--config=configs/quickstart.py"


@pytest.fixture(autouse=True)
def planning(monkeypatch):
    """What was planned for comes back as the page."""
    for name in ALONE:
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(plan, "make", lambda experiment, topology: (experiment, topology))
    monkeypatch.setattr(page, "page", lambda planned: f"the page of {planned[0].name} on {planned[1]}")
    monkeypatch.setattr(scaling, "table", lambda experiment, topology: f"the table of {experiment.name}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--topology=v5x:4x4", CONFIG], "--topology=v5x:4x4 names no chip that is known; known are cpu, h100"),
        (["--topology=v5e:16", CONFIG], "has 1 axes, and a machine of v5e is wired along 2"),
        (["--topology=v5e:4x4", "--config=nowhere.py"], "--config=nowhere.py is no file"),
        ([CONFIG], "the following arguments are required: --topology"),
    ],
)
def test_mistakes_in_flags_are_refused(words, message, capsys):
    assert command.main(["plan", *words]) == 64
    assert message in capsys.readouterr().err


def test_a_page_is_printed_or_a_table(capsys):
    assert command.main(["plan", CONFIG, "--topology=v6e:2x4", "--config.name=mine"]) == 0
    assert capsys.readouterr().out == "the page of mine on v6e:2x4\n"
    assert command.main(["plan", CONFIG, "--topology=h100:8", "--scaling"]) == 0
    assert capsys.readouterr().out == "the table of quickstart\n"


def test_what_cannot_be_planned_is_a_sentence(monkeypatch, capsys):
    def refuse(experiment, topology):
        raise ConfigError("mesh sizes do not multiply")

    monkeypatch.setattr(plan, "make", refuse)
    assert command.main(["plan", CONFIG, "--topology=h100:8"]) == 64
    assert capsys.readouterr().err == "hybridlm: mesh sizes do not multiply\n"
