"""Every command that a document shows is understood as it stands: verbs, flags, files, modules and overrides exist."""

import importlib.util
import pathlib
import re
import shlex

import pytest

from hybridlm.cli.main import VERBS, main

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("experiments/*/README.md"))]
FILES = [*PAGES, *sorted(ROOT.glob("configs/**/*.py")), *sorted(ROOT.glob("hybridlm/cli/*.py"))]
LINE = re.compile(r"(?:bash run_tpu\.sh +|python -m +|^ +(?=hybridlm ))((?:[^\n`\\]|\\\n)+)", re.MULTILINE)


def shown() -> list[tuple[str, str]]:
    """(file, command) of every command in a document or help text; what follows three spaces explains it."""
    found = []
    for path in FILES:
        for match in LINE.finditer(path.read_text()):
            command = re.split(r" {3,}|\|", match[1].replace("\\\n", " ").strip('" '))[0].strip()
            command = re.sub(r"^(--dry-run )?(local \d+ |launch )?", "", re.sub(r"\s+", " ", command))
            if not re.search(r"[<\[]|NAME|MODULE|DIR\b|\.\.\.", command):
                found.append((path.relative_to(ROOT).as_posix(), command))
    return sorted(set(found))


def test_the_readme_opens_with_its_two_commands():
    commands = [command for file, command in shown() if file == "README.md"]
    assert "hybridlm train --config=configs/quickstart.py --workdir=runs/quickstart" in commands
    assert "pytest" in commands


@pytest.mark.parametrize(("file", "command"), shown())
def test_command_is_understood(file, command, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    module, *arguments = shlex.split(command)
    if module != "hybridlm":
        assert importlib.util.find_spec(module) is not None, f"{file} shows {command!r}, and there is no such module"
        return
    assert arguments[0] in VERBS, f"{file} shows {command!r}, and there is no such verb"
    took = []
    monkeypatch.setattr("hybridlm.training.run.train", lambda *a, **k: took.append(a) or 0)
    monkeypatch.setattr("hybridlm.offline.evaluate.evaluate", lambda *a, **k: took.append(a) or 0)
    monkeypatch.setattr("hybridlm.data.prepare.prepare", lambda *a, **k: took.append(a))
    monkeypatch.setattr("hybridlm.data.prepare.prepare_part", lambda *a, **k: took.append(a))
    if arguments[0] in ("train", "evaluate", "prepare"):
        assert main(arguments) == 0, f"{file} shows {command!r}, which is refused"
        assert took
