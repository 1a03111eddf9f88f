"""`hybridlm prepare`: text into packed rows, without training on them."""

from collections.abc import Sequence

from hybridlm.cli.flags import Parser
from hybridlm.config import command_line

DESCRIPTION = """\
Reads the sources of a config, trains or loads the tokenizer, splits by group, and writes packed rows with a manifest.

  hybridlm prepare --config=configs/quickstart.py --output=data/quickstart
  hybridlm prepare --config=configs/corpus.py --output=data/corpus --config.data.sources=path/to/corpus

`hybridlm train` does this by itself where needed; afterwards it reads what --config.data.prepared names.
"""


def run(argv: Sequence[str]) -> int:
    """Prepares; returns the exit code."""
    parser = Parser("prepare", DESCRIPTION)
    parser.add_argument("--config", required=True, help="a Python file whose get_config() returns an Experiment")
    parser.add_argument("--output", required=True, help="directory for the rows")
    flags, overrides = parser.read(argv)
    experiment = command_line.load(flags.config, overrides)

    from hybridlm.config.exit_codes import ExitCode
    from hybridlm.data.prepare import prepare

    prepare(experiment.data, flags.output)
    return ExitCode.DONE
