"""`hybridlm train`: from a config to a trained model with its report."""

from collections.abc import Sequence

from hybridlm.cli.flags import Parser
from hybridlm.config import command_line

DESCRIPTION = """\
Prepares the text (once), trains the model, and reads it on held-out text.

In --workdir afterwards: report.html and scores.json (loss by kind of token), metrics.jsonl and tensorboard/ (during
training), checkpoints/, vocabulary/, config.json, environment.json, and anomalies/ with the steps that stood out, which
healthy runs have too. The same command again resumes where it stopped, and of a finished run makes the report anew.

  hybridlm train --config=configs/quickstart.py --workdir=runs/quickstart
  hybridlm train --config=configs/quickstart.py --workdir=runs/short --config.training.steps=100

Any value of the config can be set by --config.name=value; unknown names and wrong types are refused before any work.
"""


def run(argv: Sequence[str]) -> int:
    """Trains; returns the exit code."""
    parser = Parser("train", DESCRIPTION)
    parser.add_argument("--config", required=True, help="a Python file whose get_config() returns an Experiment")
    parser.add_argument("--workdir", required=True, help="directory of the run (local, gs:// or s3://)")
    flags, overrides = parser.read(argv)
    experiment = command_line.load(flags.config, overrides)

    from hybridlm.training.run import train

    return train(experiment, flags.workdir)
