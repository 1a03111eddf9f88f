"""Three hundred steps of every objective and every change of training on the tiny text, and where their losses ended:

python -m tests.golden.every_objective

writes the record that `tests/training/test_every_objective.py` (marked slow) compares with.
"""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Callable

from hybridlm.config.evaluation import Reading
from hybridlm.config.experiment import Experiment
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
from hybridlm.config.sources import Mixing
from hybridlm.config.storage import override
from hybridlm.config.token_weights import TokenWeight
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


def up_weighted(experiment: Experiment) -> Experiment:
    """The loss of digits counts twice."""
    return _training(experiment, token_weights=(TokenWeight(tokens="digits!=none", factor=2.0),))


def curriculum(experiment: Experiment) -> Experiment:
    """From even weights to rare tokens."""
    rare = TokenWeight(power=0.3, strength=(0.0, 1.0), between=(0.2, 0.8))
    return _training(experiment, token_weights=(rare,))


def balanced(experiment: Experiment) -> Experiment:
    """Rows of rare tokens are read more often."""
    (source,) = experiment.data.named_sources
    mixing = (Mixing(shares={source.called: 1.0}, rare_power=1.0),)
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, mixing=mixing))


def _training(experiment: Experiment, **changes) -> Experiment:
    return dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, **changes))


CHANGES: dict[str, Callable[[Experiment], Experiment]] = {
    "up_weighted": up_weighted,
    "curriculum": curriculum,
    "balanced": balanced,
}
"""Of autoregression."""
HEAD_ADDED = "masked_lm_head_added"
"""To what autoregression has learned."""
NAMES = (*OBJECTIVES, *CHANGES, HEAD_ADDED)


def ends(name: str, place: pathlib.Path) -> dict[str, float]:
    """Mean nats per token of each loss of an objective over the last logged steps."""
    if not (place / "text").exists():
        tiny.write_text(place / "text")
    base = tiny.experiment(place / "text")
    evaluation = dataclasses.replace(base.evaluation, readings={"ar": Reading(objective=autoregressive())}, rows=8)
    base = dataclasses.replace(base, objectives=OBJECTIVES.get(name, OBJECTIVES["ar"]), evaluation=evaluation)
    changes = {"training.steps": STEPS, "training.log_every": 10, "data.prepared": str(place / "rows")}
    base = CHANGES.get(name, lambda same: same)(override(base, changes))
    if name == HEAD_ADDED:
        base = head_added(base, place / "ar")
    train(base, place / name)
    lines = [json.loads(line) for line in (place / name / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if any(key.startswith("loss/") for key in line)][-LAST:]
    losses = {key for line in logged for key in line if key.startswith("loss/")}
    return {key.removeprefix("loss/"): sum(line[key] for line in logged) / len(logged) for key in sorted(losses)}


def head_added(experiment: Experiment, trained: pathlib.Path) -> Experiment:
    """Masked rows, read by the same parameters, beside those of a trained network, which is trained first."""
    if not (trained / "report.html").exists():
        train(experiment, trained)
    both = {"ar": autoregressive(), "mlm": masked_lm(predicts="next")}
    return _training(dataclasses.replace(experiment, objectives=both), start_from=str(trained))


def record() -> dict[tuple[str, str], float]:
    """(objective, loss) -> where it ended."""
    lines = [line.split() for line in FILE.read_text().splitlines()]
    return {(name, loss): float(value) for name, loss, value in lines}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        found = {name: ends(name, pathlib.Path(directory)) for name in NAMES}
    FILE.write_text("".join(f"{name} {loss} {value:.4f}\n" for name, of in found.items() for loss, value in of.items()))
