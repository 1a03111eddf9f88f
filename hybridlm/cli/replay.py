"""`hybridlm replay`: one step of a run again, bit for bit, to find out why it was odd."""

from collections.abc import Sequence

from hybridlm.cli.flags import Parser
from hybridlm.config.errors import require

DESCRIPTION = """\
Takes a step again from the checkpoint before it, on the same batch with the same noise, and compares loss and gradient
norm with what the run recorded: in anomalies/STEP.json if the step was odd, else in metrics.jsonl.

  hybridlm replay --workdir=runs/quickstart --step=120

Use the kind and number of devices of the run: others add in another order. Nothing in --workdir is changed. Exit code
0 if the bits agree or nothing was recorded, 70 if they differ.
"""

EXCERPT = 100
"""Characters shown of every row."""


def run(argv: Sequence[str]) -> int:
    """Replays; returns the exit code."""
    parser = Parser("replay", DESCRIPTION)
    parser.add_argument("--workdir", required=True, help="directory of a run made by hybridlm train")
    parser.add_argument("--step", required=True, type=int, help="the step to take again")
    flags, overrides = parser.read(argv)
    require(not overrides, f"--config.{next(iter(overrides), '')} has no effect here: a replay changes no config.")

    from hybridlm.training.replay import exit_code, replay

    found = replay(flags.workdir, flags.step)
    print(f"{len(found.texts)} rows of text:")
    for text in found.texts:
        print(f"  {text[:EXCERPT]!r}")
    if found.odd:
        print(f"the run said of step {found.step}: {found.odd}")
    print(f"step {found.step}, from the checkpoint of step {found.begun}")
    then = found.recorded or ("not recorded", "not recorded")
    for name, now, before in zip(("loss", "gradient norm"), (found.loss, found.grad_norm), then):
        print(f"  {name:<14}recorded {before!s:<24}replayed {now}")
    verdict = "the bits agree" if found.is_equal else "the bits differ"
    print(verdict if found.recorded else "nothing was recorded to compare with")
    return exit_code(found)
