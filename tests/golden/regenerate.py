"""Writes the curve that `tests/training/test_golden_curve.py` compares with, after a change that is meant to move it:

python -m tests.golden.regenerate
"""

import json
import pathlib
import tempfile

from hybridlm.training.run import train
from tests.end_to_end import tiny

FILE = pathlib.Path(__file__).with_name("quickstart_mixture.txt")
COMMAND = "python -m tests.golden.regenerate"


def curve(run: pathlib.Path) -> list[tuple[int, str, float]]:
    """(step, objective, mean nats per token) of every logged step of a run."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [(line["step"], name, loss) for line in lines for name, loss in line.items() if name.startswith("loss/")]
    return [(step, name.removeprefix("loss/"), loss) for step, name, loss in losses]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        tiny.write_text(directory / "text")
        train(tiny.experiment(directory / "text"), directory / "run")
        FILE.write_text("".join(f"{step} {name} {loss:.7f}\n" for step, name, loss in curve(directory / "run")))
