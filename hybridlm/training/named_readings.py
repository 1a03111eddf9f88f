"""Readings as the command line names them: `block` as the config has it, `block:chain` with an estimator of its own."""

import dataclasses
from collections.abc import Mapping, Sequence

from hybridlm.config.errors import nearest, require
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import Objective


def chosen(experiment: Experiment, asked: Sequence[str]) -> EvaluationConfig:
    """How a model is read, with the readings and combinations that are asked for alone.

    `NAME:ESTIMATOR` or `NAME:chain:ORDER` reads what NAME reads, or the objective of this name, in another way, in a
    column `NAME_ESTIMATOR`. Experts of a combination are read too.
    """
    config = experiment.evaluation
    combinations = {name: config.combinations[name] for name in asked if name in config.combinations}
    experts = [expert for combination in combinations.values() for expert in combination.experts]
    names = [*(name for name in asked if name not in combinations), *experts]
    readings = {name.replace(":", "_"): _reading(experiment, name) for name in names}
    return dataclasses.replace(config, readings=readings, combinations=combinations)


def _reading(experiment: Experiment, asked: str) -> Reading:
    name, *how = asked.split(":")
    own = {name: Reading(objective=objective) for name, objective in experiment.objectives.items()} if how else {}
    known = own | experiment.evaluation.readings
    require(name in known, f"--readings names {name!r}, which is no reading of this model{nearest(name, known)}")
    require(len(how) <= 2, f"--readings={asked} has too many parts; write NAME, NAME:ESTIMATOR or NAME:chain:ORDER.")
    reading = dataclasses.replace(known[name], **dict(zip(("estimator", "order"), how)))
    check_trained(f"--readings={asked}", reading, experiment.objectives)
    return reading


def check_trained(where: str, reading: Reading, objectives: Mapping[str, Objective]) -> None:
    """Raises ConfigError where an estimator reveals tokens in a way that no objective of the training masks them."""
    if reading.estimator == "objective":
        return
    masked = {name: one for name, one in objectives.items() if one.corruption in ("absorbing", "masked_lm")}
    require(
        bool(masked),
        f"{where} asks a model about masked tokens that never saw one in training: its objectives are "
        f"{', '.join(objectives)}. Left to right, autoregressive() is exact in one pass (--readings=ar).",
    )
    wanted = _group(reading.objective)
    trained = {name: _group(one) for name, one in masked.items()}
    known = " and ".join(f"{group} ({name})" for name, group in trained.items())
    require(
        wanted in trained.values(),
        f"{where} reveals {wanted}, but this model learned to reveal {known}, so the result would be the likelihood of "
        f"a model that nobody trained; name one of these objectives, as in --readings={next(iter(trained))}:"
        f"{reading.estimator}.",
    )


def _group(objective: Objective) -> str:
    """What is masked and revealed together."""
    return f"blocks of {objective.block_size}" if objective.block_size else "whole documents"
