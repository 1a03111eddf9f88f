"""`hybridlm inspect`: what a text holds and what a model is, before anything is trained or scored."""

from collections.abc import Sequence

from hybridlm.cli.flags import Parser
from hybridlm.config.errors import require

DESCRIPTION = """\
Shows what prepared rows or a text hold, class by class and domain by domain, and what a trained model is.

  hybridlm inspect --data=runs/quickstart/data --workdir=runs/look      prepared rows
  hybridlm inspect --data=my_texts/ --workdir=runs/look                 text, as `hybridlm train` would prepare it
  hybridlm inspect --data=my_text.txt --model=runs/quickstart           text, in the vocabulary of a run
  hybridlm inspect --model=runs/quickstart --workdir=runs/look          a model

Prints tables. With --workdir, also writes inspection.html and, for text, distribution.csv to it, and keeps the rows
made from text in its data/; without, they are made in a temporary directory.
"""


def run(argv: Sequence[str]) -> int:
    """Inspects; returns the exit code."""
    parser = Parser("inspect", DESCRIPTION)
    parser.add_argument("--data", default="", help="a directory of prepared rows, or text: a file or a directory")
    parser.add_argument("--model", default="", help="directory of a run made by hybridlm train")
    parser.add_argument("--workdir", default="", help="where the page and the CSV go")
    flags, overrides = parser.read(argv)
    require(bool(flags.data or flags.model), "nothing to inspect; give --data=PATH, --model=RUN_DIR or both.")
    require(not overrides, f"--config.{next(iter(overrides), '')} has no effect here: inspect changes no config.")

    from hybridlm.training.inspection import inspect

    return inspect(flags.data, flags.model, flags.workdir)
