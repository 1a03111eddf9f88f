"""Verbs, their help, and what a refusal says: in one sentence, with its exit code, and before jax is imported."""

import errno
import importlib
import json
import pathlib
import re
import subprocess
import sys

import pytest
from etils import epath

from hybridlm.cli import main as cli
from hybridlm.cli.flags import Parser
from hybridlm.config.errors import ConfigError
from hybridlm.config.exit_codes import ExitCode

ROOT = pathlib.Path(__file__).parents[2]
QUICKSTART = f"--config={ROOT / 'configs/quickstart.py'}"
TRAIN = ("train", QUICKSTART, "--workdir=never")
GENERATE = ("generate", "--model=nowhere", "--prompt=a")


def run(capsys, *words):
    """Exit code, standard output, standard error."""
    try:
        code = cli.main(words)
    except SystemExit as leaving:  # argparse after --help
        code = leaving.code
    return code, *capsys.readouterr()


def test_help_names_every_verb_and_exit_code(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == ExitCode.DONE
    assert all(f"  {verb} " in out for verb in cli.VERBS)
    assert "0 done, 64 config, 70 diverged, 74 io, 75 preempted" in out
    assert run(capsys)[1] == out, "no words at all ask for help too"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_shows_a_command_that_works(capsys, verb):
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    examples = [line.split() for line in out.splitlines() if line.startswith(f"  hybridlm {verb} ")]
    assert examples
    for words in examples:
        configs = [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
        assert all((ROOT / path).is_file() for path in configs)


REFUSED = {
    "a verb": (("trian",), "there is no verb 'trian'; did you mean 'train'?"),
    "no verb": (
        ("nope",),
        "there is no verb 'nope'; known are compare, evaluate, generate, inspect, plan, prepare, replay, train",
    ),
    "a flag": (
        (*TRAIN, "--workdri=x"),
        "'--workdri=x' is neither a flag of hybridlm train nor a --config.name=value; did you mean '--workdir'?",
    ),
    "a flag that is required": (
        ("train", "--confg=configs/quickstart.py", "--workdir=never"),
        "'--confg=configs/quickstart.py' is neither a flag of hybridlm train nor a --config.name=value; did you mean "
        "'--config'?",
    ),
    "an empty flag": (
        ("train", QUICKSTART, "--workdir="),
        "--workdir is empty; give it a value, or set the variable it names.",
    ),
    "the beginning of a flag": (
        (*GENERATE, "--temp=0"),
        "'--temp=0' is neither a flag of hybridlm generate nor a --config.name=value; did you mean '--temperature'?",
    ),
    "a flag like no other": (
        ("replay", "--quietly"),
        "'--quietly' is neither a flag of hybridlm replay nor a --config.name=value; known are --help, --step, "
        "--workdir.",
    ),
    "a value of the config": (
        (*TRAIN, "--batch_rows=4"),
        "'--batch_rows=4' is neither a flag of hybridlm train nor a --config.name=value; did you mean "
        "'--config.training.batch_rows=4' or '--config.evaluation.batch_rows=4'?",
    ),
    "a prompt without quotes": (
        ("generate", "--model=nowhere", "--prompt=The", "river"),
        "'river' is neither a flag of hybridlm generate nor a --config.name=value; a value stands behind its flag, as "
        "in --flag=VALUE, and in quotes if it has spaces.",
    ),
    "a config without its flag": (
        ("train", "configs/quickstart.py", "--workdir=never"),
        "'configs/quickstart.py' is neither a flag of hybridlm train nor a --config.name=value; a value stands behind "
        "its flag, as in --flag=VALUE, and in quotes if it has spaces.",
    ),
    "a stray argument": (
        (*TRAIN, "config.training.steps=4"),
        "'config.training.steps=4' is neither a flag of hybridlm train nor a --config.name=value; did you mean "
        "'--config.training.steps=4'?",
    ),
    "a missing flag": (
        ("train", QUICKSTART),
        "the following arguments are required: --workdir (see hybridlm train --help).",
    ),
    "an override without a value": (
        (*TRAIN, "--config.training.steps"),
        "'--config.training.steps' has no value; write it as --config.training.steps=VALUE.",
    ),
    "a typo": ((*TRAIN, "--config.training.stepz=4"), "--config.training.stepz does not exist; did you mean 'steps'?"),
    "a sampler": ((*GENERATE, "--sampler=speculativ"), "there is no sampler 'speculativ'; did you mean 'speculative'?"),
    "an order": (
        (*GENERATE, "--sampler=block_diffusion", "--order=randm"),
        "order='randm' is not one of random, left_to_right, confidence, margin, entropy, time; did you mean 'random'?",
    ),
    "a type": ((*TRAIN, "--config.training.steps=4.5"), "--config.training.steps=4.5 must be of type int, not float."),
    "a block size": (
        (*TRAIN, "--config.objectives.block.block_size=48"),
        "objectives.block.block_size=48 does not divide data.row_length=128, so rows would end inside a block; use one "
        "of [1, 2, 4, 8, 16, 32, 64, 128].",
    ),
    "a mesh": (
        (*TRAIN, "--config.mesh.tensor=3"),
        "mesh.tensor=3 does not divide model.heads=4; use one of [1, 2, 4].",
    ),
    "a missing file": (
        ("train", "--config=configs/quikstart.py", "--workdir=never"),
        "--config=configs/quikstart.py is no file; did you mean configs/quickstart.py? A config is a Python file with "
        "a function get_config(); examples are in configs/ of a checkout of hybridlm, and not in an installed package.",
    ),
    "a step that is no number": (
        ("evaluate", "--model=a", "--workdir=b", "--step=last"),
        "argument --step: invalid int value: 'last' (see hybridlm evaluate --help).",
    ),
}


@pytest.mark.parametrize(("words", "text"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_named_with_its_repair(capsys, monkeypatch, words, text):
    monkeypatch.chdir(ROOT)
    assert run(capsys, *words) == (ExitCode.CONFIG, "", f"hybridlm: {text}\n")


def test_neither_help_nor_a_refusal_imports_jax():
    """In a process of its own, since this one has long imported it."""
    code = (
        "import json, sys\n"
        "from hybridlm.cli.main import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    try:\n"
        "        main(words)\n"
        "    except SystemExit:\n"
        "        pass\n"
        "print(sorted({'jax', 'flax', 'orbax', 'tensorflow'} & set(sys.modules)))"
    )
    asked = [["--help"], *([verb, "--help"] for verb in cli.VERBS), *(words for words, _ in REFUSED.values())]
    ended = subprocess.run(
        [sys.executable, "-c", code, json.dumps(asked)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_warning_says_when_and_not_through_which_library():
    warn = "from absl import logging; logging.warning('%d rows', 3)"
    code = f"from hybridlm.cli.main import main; main(['--help']); {warn}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING: 3 rows\n", ended.stderr)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--prompt", "--- a title"], "--- a title"),
        (["--prompt=--flag", "--step", "-1"], "--flag"),
        (["--prompt", "two words"], "two words"),
    ],
)
def test_a_value_may_look_like_a_flag(words, text):
    parser = Parser("generate", "")
    parser.add_argument("--prompt")
    parser.add_argument("--step", type=int)
    assert parser.read(words)[0].prompt == text


class Ending(RuntimeError):
    """An error that knows its exit code."""

    exit_code = ExitCode.DIVERGED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("no such thing"), ExitCode.CONFIG),
        (OSError("disk full"), ExitCode.IO),
        (Ending("not finite"), ExitCode.DIVERGED),
    ],
)
def test_what_goes_wrong_becomes_a_sentence_and_a_code(capsys, monkeypatch, error, code):
    def fails(words):
        raise error

    monkeypatch.setattr(importlib.import_module("hybridlm.cli.train"), "run", fails)
    assert run(capsys, "train") == (code, "", f"hybridlm: {error}\n")


def forbidden(file):
    """What the system says to all but root."""
    raise PermissionError(errno.EACCES, "Permission denied", str(file))


@pytest.mark.parametrize(
    ("begin", "text"),
    [
        (lambda file: (file / "in").mkdir(), "Not a directory: '{}/in': a file stands where a directory is needed"),
        (lambda file: file.mkdir(), "File exists: '{}': a file stands where a directory is to be made"),
        (lambda file: file.parent.open("rb"), "Is a directory: '{parent}': a directory stands where a file is needed"),
        (lambda file: (file.parent / "no").open("rb"), "such file or directory: '{parent}/no': check the spelling; a "
         "relative path starts at the current directory, {here}."),
        (forbidden, "Permission denied: '{}': this user may not read or write there; choose another path"),
    ],
)  # fmt: skip
def test_what_to_do_about_a_path_the_system_refuses(capsys, tmp_path, monkeypatch, begin, text):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(importlib.import_module("hybridlm.cli.train"), "run", lambda words: begin(file))
    code, _, wrong = run(capsys, "train")
    assert code == ExitCode.IO
    assert text.format(file, parent=tmp_path, here=pathlib.Path.cwd()) in wrong


def test_a_store_that_nothing_installed_can_reach_is_named_with_its_package(capsys, monkeypatch):
    def fails(words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "s3fs", None)
            return epath.Path("s3://bucket/text").exists()

    monkeypatch.setattr(importlib.import_module("hybridlm.cli.train"), "run", fails)
    code, said, wrong = run(capsys, "train")
    assert (code, said, wrong) == (ExitCode.CONFIG, "", "hybridlm: Install s3fs to access S3: `pip install s3fs`\n")


def test_a_crash_keeps_its_traceback(monkeypatch):
    def fails(words):
        raise RuntimeError("the device is lost")

    monkeypatch.setattr(importlib.import_module("hybridlm.cli.train"), "run", fails)
    with pytest.raises(RuntimeError, match="the device is lost"):
        cli.main(["train"])
