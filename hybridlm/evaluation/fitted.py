"""Numbers of combinations that a config leaves open, found on validation text so that test text can be reported."""

import dataclasses
from collections.abc import Iterator, Mapping

from hybridlm.combine import gates
from hybridlm.config.combination import Combination
from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.data.prepared import Prepared
from hybridlm.evaluation import combined_fit
from hybridlm.evaluation.combined import Expert
from hybridlm.evaluation.joined import FILE
from hybridlm.evaluation.readings import Other
from hybridlm.evaluation.run import batches
from hybridlm.evaluation.task import Batch, Task
from hybridlm.evaluation.windows import SLOT
from hybridlm.reports.progress import remark

ROWS = 256
"""Validation rows, spread evenly, whose hidden states lie on the device at once."""


def is_open(combination: Combination) -> bool:
    """Has it numbers that must be fitted first?"""
    calibration = combination.calibration
    return bool(combination.gate == "learned" and not combination.weights) or bool(
        calibration.bands and not calibration.slopes
    )


def check(config: EvaluationConfig, split: str) -> None:
    """Refuses to report a fit on the text that it was made on, and own gates that do not work."""
    _try_gates(config)
    open_ones = [name for name, combination in config.combinations.items() if is_open(combination)]
    require(
        not open_ones or split == "test",
        f"evaluation.combinations.{', '.join(open_ones)} has numbers that are fitted on the run's validation text, and "
        f"this text is {split!r}. Score --config.evaluation.split=test, which fits them and prints the call, with its "
        "numbers, that reads any other text.",
    )


def check_closed(config: EvaluationConfig) -> None:
    """Refuses to train with numbers that only a trained model is fitted for, and own gates that do not work."""
    _try_gates(config)
    open_ones = [name for name, combination in config.combinations.items() if is_open(combination)]
    require(
        not open_ones,
        f"evaluation.combinations.{', '.join(open_ones)} has numbers that are fitted once the model is trained. Leave "
        "it out of this config; `hybridlm evaluate --combine=... --config.evaluation.split=test` fits and reports it.",
    )


def _try_gates(config: EvaluationConfig) -> None:
    for combination in config.combinations.values():
        gates.gate(combination.gate)


def fitted(config: EvaluationConfig, task: Task, networks: Mapping[str, Other], prepared: Prepared) -> EvaluationConfig:
    """The config with every open number found on validation rows; `networks` are those of the readings, by name."""
    rows = dataclasses.replace(config, rows=ROWS)
    experts = {name: Expert(one.task, config.readings[name], one.also) for name, one in networks.items()}
    params = {name: one.params for name, one in networks.items()}

    def fit(name: str, combination: Combination) -> Combination:
        if not is_open(combination):
            return combination
        remark(_fitting(name, min(ROWS, len(prepared.rows("validation")))))
        text = combined_fit.held_out(combination, experts, params, _without_slots(prepared, rows))
        return combined_fit.fit(combination, task, text)

    combinations = {name: fit(name, combination) for name, combination in config.combinations.items()}
    return dataclasses.replace(config, combinations=combinations)


def _fitting(name: str, rows: int) -> str:
    return (
        f"fitting the numbers of combination {name!r} on {rows} rows of the run's validation text; {FILE} of the "
        f"report will keep the call with them, which --combine={name}=CALL reads without another fit"
    )


def _without_slots(prepared: Prepared, config: EvaluationConfig) -> Iterator[Batch]:
    """Rows as predictions are made of them."""
    for batch in batches(prepared.rows("validation"), config):
        yield {name: column for name, column in batch.items() if name != SLOT}
