"""Scores a trained run on the test text, and on the domain that was left out, with its combinations if it has any.

bash run_tpu.sh experiments.hybrids.score --run=runs/hybrids/shared --left-out=data/held_out/biomedical.jsonl
"""

import json
import sys

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer

TEST, LEFT_OUT, EARLIER = "test", "left_out", "earlier"
"""Directories that are made in the run."""


def main(argv: list[str]) -> int:
    """Writes test/ and left_out/ into the run: a report, and a table of token scores."""
    parser = Parser("experiments.hybrids.score", __doc__)
    parser.add_argument("--run", required=True, help="the directory of a run")
    parser.add_argument("--left-out", default="", help="text of the domain that was left out of training")
    parser.add_argument("--step", type=int, default=-1, help="of the checkpoint; with it, earlier/ is written instead")
    flags, overrides = parser.read(argv)

    from etils import epath

    from experiments.hybrids.systems import FITTED
    from hybridlm.training.offline import evaluate

    run = epath.Path(flags.run)
    if (run / FITTED).exists():
        found = json.loads((run / FITTED).read_text())["combinations"]
        overrides = {"evaluation.combinations": repr(found), **overrides}
    if flags.step >= 0:
        return evaluate(run, run / EARLIER, data="", step=flags.step, overrides=overrides)
    evaluate(run, run / TEST, data="", overrides=overrides)
    if flags.left_out:
        evaluate(run, run / LEFT_OUT, data=flags.left_out, overrides=overrides)
    return 0


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
