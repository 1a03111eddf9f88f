"""Three hundred steps of every objective on the tiny text, and where their losses ended:

python -m tests.golden.every_objective

writes the record that `tests/training/test_every_objective.py` (marked slow) compares with.
"""

import dataclasses
import json
import pathlib
import tempfile

from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import (
    Objective,
    autoregressive,
    block_diffusion,
    eso_lm,
    gpt_bert,
    masked_diffusion,
    masked_lm,
    prefix_lm,
    shared_ar_diffusion,
    span_corruption,
    uniform_diffusion,
    windowed_blocks,
)
from hybridlm.config.storage import override
from hybridlm.training.run import train
from tests.end_to_end import tiny

FILE = pathlib.Path(__file__).with_name("every_objective.txt")
COMMAND = "python -m tests.golden.every_objective"
STEPS, LAST = 300, 5
"""Steps, and how many logged losses at the end are averaged."""

OBJECTIVES: dict[str, dict[str, Objective]] = {
    "ar": {"main": autoregressive()},
    "prefix_lm": {"main": prefix_lm(0.0, 0.8)},
    "span_corruption": {"main": span_corruption()},
    "masked_lm": {"main": masked_lm()},
    "gpt_bert": gpt_bert(),
    "windowed_blocks": {"main": windowed_blocks(8, 16)},
    "masked_diffusion": {"main": masked_diffusion()},
    "uniform_diffusion": {"main": uniform_diffusion()},
    "block_diffusion_1": {"main": block_diffusion(1)},
    "block_diffusion_4": {"main": block_diffusion(4)},
    "eso_lm": {"main": eso_lm(0.5)},
    "shared_ar_diffusion": {"main": shared_ar_diffusion(4)},
}


def ends(name: str, place: pathlib.Path) -> dict[str, float]:
    """Mean nats per token of each loss of an objective over the last logged steps."""
    if not (place / "text").exists():
        tiny.write_text(place / "text")
    base = tiny.experiment(place / "text")
    evaluation = dataclasses.replace(base.evaluation, readings={"ar": Reading(objective=autoregressive())}, rows=8)
    base = dataclasses.replace(base, objectives=OBJECTIVES[name], evaluation=evaluation)
    changes = {"training.steps": STEPS, "training.log_every": 10, "data.prepared": str(place / "rows")}
    train(override(base, changes), place / name)
    lines = [json.loads(line) for line in (place / name / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if any(key.startswith("loss/") for key in line)][-LAST:]
    losses = {key for line in logged for key in line if key.startswith("loss/")}
    return {key.removeprefix("loss/"): sum(line[key] for line in logged) / len(logged) for key in sorted(losses)}


def record() -> dict[tuple[str, str], float]:
    """(objective, loss) -> where it ended."""
    lines = [line.split() for line in FILE.read_text().splitlines()]
    return {(name, loss): float(value) for name, loss, value in lines}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        found = {name: ends(name, pathlib.Path(directory)) for name in OBJECTIVES}
    FILE.write_text("".join(f"{name} {loss} {value:.4f}\n" for name, of in found.items() for loss, value in of.items()))
