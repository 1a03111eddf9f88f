"""`hybridlm evaluate`: a trained or published model on held-out text, or on a user's own."""

from collections.abc import Sequence

from hybridlm.cli.flags import Parser

DESCRIPTION = """\
Scores a checkpoint token by token, with the function that training itself reports by.

  hybridlm evaluate --model=runs/quickstart --workdir=runs/again                    the held-out text of the run
  hybridlm evaluate --model=runs/quickstart --workdir=runs/mine --data=my_texts/    your text, a file or a directory
  hybridlm evaluate --model=EleutherAI/pythia-70m --workdir=runs/pythia --data=my_texts/       a published model
  hybridlm evaluate --model=runs/a --baseline=runs/b --workdir=runs/both --readings=ar         several, one by one

A reading of masked tokens has several values; name one behind a colon, each with its kind in docs/scores.md:

  --readings=ar,block:chain,block:order_mixture,block:enumeration,masked:chain:confidence,masked:leave_one_out

With @, the network of another run with the same tokenizer is read; --combine joins the first two readings into one
distribution, a column of its own, and says which expert each category falls to:

  hybridlm evaluate --model=runs/ar --workdir=runs/both --readings=ar,block:chain@runs/diffusion \\
    --combine="mean=average(0.5)" --combine="refined=refiner(0.9)"

Writes report.html, scores.json, scores.csv and tokens.parquet (one row per token) to --workdir. Values of the run's
config that concern reading can be changed: --config.evaluation.split=test, --config.evaluation.batch_rows=64.
"""


def run(argv: Sequence[str]) -> int:
    """Evaluates; returns the exit code."""
    parser = Parser("evaluate", DESCRIPTION)
    parser.add_argument("--model", required=True, help="directory of a run, or of published safetensors, or a hub id")
    parser.add_argument("--workdir", required=True, help="where the report goes")
    parser.add_argument("--data", default="", help="text to score instead of the run's held-out split")
    parser.add_argument("--step", type=int, default=-1, help="checkpoint to read; the newest valid one by default")
    parser.add_argument("--baseline", action="append", default=[], help="another model, for compare; may be repeated")
    parser.add_argument(
        "--readings",
        default="",
        help="ways of reading the model, with commas, each NAME or NAME:ESTIMATOR; all by default",
    )
    parser.add_argument(
        "--combine", action="append", default=[], help="NAME=CALL: two readings as one; see above; may be repeated"
    )
    flags, overrides = parser.read(argv)

    from hybridlm.config.written_combinations import of_readings
    from hybridlm.offline.evaluate import evaluate

    readings = tuple(filter(None, map(str.strip, flags.readings.split(","))))
    if flags.combine:
        overrides = {"evaluation.combinations": repr(of_readings(flags.combine, readings)), **overrides}
    return evaluate(
        flags.model,
        flags.workdir,
        baselines=flags.baseline,
        data=flags.data,
        step=flags.step,
        readings=readings,
        overrides=overrides,
    )
