"""`hybridlm inspect`: what a text holds and what a model is, before anything is trained or scored."""

from collections.abc import Sequence

from hybridlm.cli.flags import Parser
from hybridlm.config.errors import require

DESCRIPTION = """\
Shows what text holds, class by class, source by source and domain by domain, and what a trained model is.

  hybridlm inspect --data=runs/quickstart/data --workdir=runs/look      prepared rows
  hybridlm inspect --data=my_texts/ --workdir=runs/look                 text, in a vocabulary made for it
  hybridlm inspect --data=my_text.txt --model=runs/quickstart           text, in the vocabulary of a run
  hybridlm inspect --data=my_text.txt --model=runs/quickstart --comparison=runs/compared
  hybridlm inspect --model=runs/quickstart --workdir=runs/look          a model

Text is whatever hybridlm prepare reads: files, a directory, a glob, tfds:name:version, seqio:module:name, a directory
of tokens, or "embedded". Prints tables. With --workdir, also writes inspection.html and, for text, distribution.csv and
pictures (.png) to it, and keeps the rows made from text in its data/; without, they are made in a temporary directory.
"""


def run(argv: Sequence[str]) -> int:
    """Inspects; returns the exit code."""
    parser = Parser("inspect", DESCRIPTION)
    parser.add_argument("--data", default="", help="a directory of prepared rows, or text")
    parser.add_argument("--model", default="", help="directory of a run made by hybridlm train")
    parser.add_argument("--comparison", default="", help="--output of hybridlm compare: what would its models gain?")
    parser.add_argument("--workdir", default="", help="where the page, the CSV files and the pictures go")
    parser.add_argument(
        "--megabytes", type=float, default=4.0, help="of text to label (0: all); ids are counted in all of it"
    )
    flags, overrides = parser.read(argv)
    require(bool(flags.data or flags.model), "nothing to inspect; give --data=PATH, --model=RUN_DIR or both.")
    require(not overrides, f"--config.{next(iter(overrides), '')} has no effect here: inspect changes no config.")
    require(bool(flags.data or not flags.comparison), "--comparison asks about a text; give it as --data=PATH.")
    require(flags.megabytes >= 0, f"--megabytes={flags.megabytes:g} must be 0 or more; 0 labels all text.")

    from hybridlm.inspection.run import Asked, inspect

    return inspect(Asked(**vars(flags)))
