"""`hybridlm prepare`: text into packed rows, without training on them."""

import re
from collections.abc import Sequence

from hybridlm.cli.flags import Parser
from hybridlm.config import command_line
from hybridlm.config.errors import require

DESCRIPTION = """\
Reads the sources of a config, trains or loads the tokenizer, splits by group, and writes packed rows with a manifest.

  hybridlm prepare --config=configs/quickstart.py --output=data/quickstart
  hybridlm prepare --config=configs/corpus.py --output=data/rows --config.data.sources=path/to/text

`hybridlm train` does this by itself where needed; afterwards it reads what --config.data.prepared names. A preparation
that was interrupted goes on when the same command is given again. Several machines with a folder in common can share
the encoding, each with one of the parts, before the command without --part puts the rows together:

  hybridlm prepare --config=configs/corpus.py --output=data/rows --part=0/4
"""


def run(argv: Sequence[str]) -> int:
    """Prepares; returns the exit code."""
    parser = Parser("prepare", DESCRIPTION)
    parser.add_argument("--config", required=True, help="a Python file whose get_config() returns an Experiment")
    parser.add_argument("--output", required=True, help="directory for the rows")
    parser.add_argument("--part", default="", help="encode part P of N alone, as P/N, counted from 0")
    flags, overrides = parser.read(argv)
    numbers = re.fullmatch(r"(\d+)/(\d+)", flags.part)
    require(not flags.part or numbers is not None, f"--part={flags.part} must be of the form P/N, such as 0/4.")
    experiment = command_line.load(flags.config, overrides)

    from hybridlm.config.exit_codes import ExitCode
    from hybridlm.data.prepare import prepare, prepare_part

    if numbers:
        prepare_part(experiment.data, flags.output, *map(int, numbers.groups()))
    else:
        prepare(experiment.data, flags.output)
    return ExitCode.DONE
