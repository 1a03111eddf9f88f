"""Scores a trained run on the test text, and on the domain that was left out, with its combinations if it has any.

bash run_tpu.sh experiments.hybrids.score --run=runs/hybrids/shared --left-out=data/held_out/biomedical.jsonl
bash run_tpu.sh experiments.hybrids.score --run=runs/hybrids/ar --like=runs/hybrids/shared

The second line scores the earlier checkpoint of the run that is as good on average, on validation text, as the other
run is at its end: what a difference in training alone would look like.
"""

import bisect
import functools
import json
import sys
from typing import TYPE_CHECKING

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer

if TYPE_CHECKING:
    from etils import epath

TEST, LEFT_OUT, EARLIER, MATCHED = "test", "left_out", "earlier", "matched"
"""Directories that are made in the run."""


def main(argv: list[str]) -> int:
    """Writes test/ and left_out/ into the run: a report, and a table of token scores."""
    parser = Parser("experiments.hybrids.score", __doc__)
    parser.add_argument("--run", required=True, help="the directory of a run")
    parser.add_argument("--left-out", default="", help="text of the domain that was left out of training")
    parser.add_argument("--like", default="", help="another run; earlier/ is written, of the checkpoint nearest to it")
    flags, overrides = parser.read(argv)

    from etils import epath

    from experiments.hybrids.systems import EXPERTS, FITTED
    from hybridlm.offline.evaluate import evaluate

    run, readings = epath.Path(flags.run), ()
    if (run / FITTED).exists():
        readings = EXPERTS["experts"]  # the run has reported the others itself
        found = json.loads((run / FITTED).read_text())["combinations"]
        overrides = {"evaluation.combinations": repr(found), **overrides}
    if flags.like:
        step = nearest(run, epath.Path(flags.like))
        print(f"score: step {step} of {flags.run} is nearest to {flags.like}")
        return evaluate(run, run / EARLIER, data="", step=step, overrides=overrides)
    evaluate(run, run / TEST, data="", readings=readings, overrides=overrides)
    if flags.left_out:
        evaluate(run, run / LEFT_OUT, data=flags.left_out, readings=readings, overrides=overrides)
    return 0


def nearest(run: "epath.Path", like: "epath.Path") -> int:
    """The step before the last whose checkpoint comes nearest to the end of another run, in nats on validation text."""
    aim, (*steps, _) = validation(like, -1), kept(run)
    nats = functools.cache(lambda step: validation(run, step))
    at = bisect.bisect_left(steps, -aim, key=lambda step: -nats(step))  # nats fall along the way
    return min(steps[max(at - 1, 0) : at + 1], key=lambda step: abs(nats(step) - aim))


def kept(run: "epath.Path") -> list[int]:
    """Steps whose checkpoints are there."""
    from hybridlm.storage import workdir
    from hybridlm.storage.checkpoints import Checkpoints

    return sorted(Checkpoints(run / workdir.CHECKPOINTS, read_only=True).steps())


def validation(run: "epath.Path", step: int) -> float:
    """Nats per validation token of the autoregressive reading."""
    from hybridlm.offline.evaluate import evaluate

    directory = run / MATCHED / str(step)
    overrides = {"evaluation.split": "validation", "evaluation.rows": "256"}
    evaluate(run, directory, data="", step=step, readings=("ar",), overrides=overrides)
    rows = json.loads((directory / "scores.json").read_text())["rows"]
    return next(row["mean"] for row in rows if row["family"] == "all" and row["column"] == "ar")


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
