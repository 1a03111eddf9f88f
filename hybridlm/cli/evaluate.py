"""`hybridlm evaluate`: a trained model on held-out text, or on a user's own."""

from collections.abc import Sequence

from hybridlm.cli.flags import Parser

DESCRIPTION = """\
Scores a checkpoint token by token, with the function that training itself reports by.

  hybridlm evaluate --model=runs/quickstart --workdir=runs/again                    the held-out text of the run
  hybridlm evaluate --model=runs/quickstart --workdir=runs/mine --data=my_texts/    your text, a file or a directory

Writes report.html, scores.json, scores.csv and tokens.parquet (one row per token) to --workdir. Values of the run's
config that concern reading can be changed: --config.evaluation.split=test, --config.evaluation.batch_rows=64.
"""


def run(argv: Sequence[str]) -> int:
    """Evaluates; returns the exit code."""
    parser = Parser("evaluate", DESCRIPTION)
    parser.add_argument("--model", required=True, help="directory of a run made by hybridlm train")
    parser.add_argument("--workdir", required=True, help="where the report goes")
    parser.add_argument("--data", default="", help="text to score instead of the run's held-out split")
    parser.add_argument("--step", type=int, default=-1, help="checkpoint to read; the newest valid one by default")
    flags, overrides = parser.read(argv)

    from hybridlm.training.offline import evaluate

    return evaluate(flags.model, flags.workdir, data=flags.data, step=flags.step, overrides=overrides)
