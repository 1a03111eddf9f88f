"""`hybridlm <verb>`: finds the verb, and turns what goes wrong into a sentence and an exit code."""

import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence

from hybridlm.config.errors import ConfigError, nearest
from hybridlm.config.exit_codes import ExitCode

VERBS = {
    "train": "pretrain a model on text, and report its loss by kind of token",
    "evaluate": "score a trained model on held-out text or on your own",
    "generate": "let a trained or published model continue prompts",
    "prepare": "turn text into packed rows of tokens on disk",
    "compare": "hold token scores of any engines against a baseline, category by category",
    "replay": "take one step of a run again, and compare its bits with what was recorded",
    "plan": "say what a training step takes on a machine that need not be there",
    "inspect": "show what a text holds, class by class, and what a trained model is",
}

REPAIRS = {
    FileNotFoundError: "check the spelling; a relative path starts at the current directory, {here}",
    FileExistsError: "a file stands where a directory is to be made; choose another path",
    NotADirectoryError: "a file stands where a directory is needed; choose another path",
    IsADirectoryError: "a directory stands where a file is needed; name a file in it",
    PermissionError: "this user may not read or write there; choose another path, or have its rights changed",
}
"""What to do about a path that the system refuses."""

STORES = ("gcsfs", "s3fs")
"""Packages that only who keeps files in gs:// or s3:// needs."""

USAGE = """\
hybridlm trains language models that mix autoregressive, masked and diffusion prediction, and scores them by token.

usage: hybridlm <verb> [--help] [flags]

{verbs}

first run:  hybridlm train --config=configs/quickstart.py --workdir=runs/quickstart
exit codes: {codes}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code."""
    os.environ.setdefault("EPATH_USE_TF", "0")  # paths to buckets would import TensorFlow where it is installed
    logging.basicConfig(format="%(asctime)s %(levelname)s: %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    return answer(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(argv: list[str]) -> int:
    verb, *rest = argv or ["--help"]
    if verb in ("--help", "-h", "help"):
        print(_usage())
        return ExitCode.DONE
    if verb not in VERBS:
        raise ConfigError(f"there is no verb {verb!r}{nearest(verb, VERBS)}")
    return importlib.import_module(f"hybridlm.cli.{verb}").run(rest)


def answer(action: Callable[[], int]) -> int:
    """The exit code of an action; what went wrong in it becomes a sentence on standard error.

    Anything unforeseen is raised, with its traceback.
    """
    try:
        return action()
    except ConfigError as error:
        print(f"hybridlm: {error}", file=sys.stderr)
        return ExitCode.CONFIG
    except ImportError as error:
        package = getattr(error.__cause__, "name", None)
        if package not in STORES:
            raise
        print(f"hybridlm: {error}: `pip install {package}`", file=sys.stderr)
        return ExitCode.CONFIG
    except OSError as error:
        print(f"hybridlm: {error}{_repair(error)}", file=sys.stderr)
        return ExitCode.IO
    except RuntimeError as error:
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        print(f"hybridlm: {error}", file=sys.stderr)
        return code


def _repair(error: OSError) -> str:
    """What to do, where the system itself refused a path."""
    found = [repair for kind, repair in REPAIRS.items() if isinstance(error, kind) and error.filename]
    return f": {found[0].format(here=os.getcwd())}." if found else ""


def _usage() -> str:
    verbs = "\n".join(f"  {verb:<10}{what}" for verb, what in VERBS.items())
    return USAGE.format(verbs=verbs, codes=", ".join(f"{code.value} {code.name.lower()}" for code in ExitCode))
