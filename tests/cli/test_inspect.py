"""`hybridlm inspect` refuses in a sentence, before anything heavy is imported, and passes on what it was given."""

import pytest

from hybridlm.cli import main as command
from hybridlm.inspection import run as inspection


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "hybridlm: nothing to inspect; give --data=PATH, --model=RUN_DIR or both.\n"),
        (
            ["--model=runs/a", "--config.data.row_length=64"],
            "hybridlm: --config.data.row_length has no effect here: inspect changes no config.\n",
        ),
        (
            ["--model=runs/a", "--comparison=c.json"],
            "hybridlm: --comparison asks about a text; give it as --data=PATH.\n",
        ),
        (["--data=text", "--megabytes=-1"], "hybridlm: --megabytes=-1 must be 0 or more; 0 labels all text.\n"),
    ],
)
def test_mistakes_in_flags_are_refused_in_a_sentence(arguments, message, capsys):
    assert command.main(["inspect", *arguments]) == 64
    assert capsys.readouterr().err == message


def test_a_misspelt_flag_names_the_one_that_was_meant(capsys):
    assert command.main(["inspect", "--dta=text"]) == 64
    assert "did you mean '--data'?" in capsys.readouterr().err


def test_flags_reach_the_inspection(monkeypatch):
    asked = []
    monkeypatch.setattr(inspection, "inspect", lambda wanted: asked.append(wanted) or 0)
    assert command.main(["inspect", "--data=text", "--workdir=out", "--comparison=c.json", "--megabytes=0"]) == 0
    assert command.main(["inspect", "--model=run"]) == 0
    first = inspection.Asked(data="text", workdir="out", comparison="c.json", megabytes=0.0)
    assert asked == [first, inspection.Asked(model="run")]


def test_a_directory_without_a_run_is_refused(tmp_path, capsys):
    assert command.main(["inspect", f"--model={tmp_path}"]) == 64
    assert "holds no run: config.json is missing" in capsys.readouterr().err


def test_a_file_is_no_place_for_pages(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert command.main(["inspect", "--data=embedded", f"--workdir={tmp_path / 'taken'}"]) == 64
    assert "taken is a file, and a directory is needed there" in capsys.readouterr().err


def test_the_verb_is_listed(capsys):
    assert command.main(["--help"]) == 0
    assert "  inspect   show what a text holds" in capsys.readouterr().out
