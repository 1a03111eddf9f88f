"""Readings as the command line names them: `block` as the config has it, `block:chain` with an estimator of its own,
`block:chain@runs/b` of another run."""

import dataclasses
from collections.abc import Sequence

from etils import epath

from hybridlm.config import trained
from hybridlm.config.errors import ConfigError, Unplaced, nearest, require
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.written_combinations import column
from hybridlm.storage import workdir


def chosen(experiment: Experiment, asked: Sequence[str]) -> EvaluationConfig:
    """How a model is read, with the readings and combinations that are asked for alone.

    `NAME:ESTIMATOR` or `NAME:chain:ORDER` reads what NAME reads, or the objective of this name, in another way, in a
    column `NAME_ESTIMATOR`. With `@RUN`, the directory of another run, its network is read, in a column `..._of_RUN`.
    Experts of a combination are read too.
    """
    config = experiment.evaluation
    combinations = {name: config.combinations[name] for name in asked if name in config.combinations}
    experts = [expert for combination in combinations.values() for expert in combination.experts]
    names = [*(name for name in asked if name not in combinations), *experts]
    readings = {}
    for name in names:
        reading = named(experiment, name)
        require(
            readings.setdefault(column(name), reading) == reading,
            f"--readings names two different ones whose column would be {column(name)!r}; score one of them in a call "
            "of its own, or rename the directory of its run.",
        )
    return dataclasses.replace(config, readings=readings, combinations=combinations)


def named(experiment: Experiment, asked: str) -> Reading:
    """The reading that goes by this name, of a model or of another run."""
    how, _, run = asked.partition("@")
    if not run:
        return _reading(experiment, how)
    return dataclasses.replace(_reading(workdir.read_config(epath.Path(run)), how), network=run)


def _reading(experiment: Experiment, asked: str) -> Reading:
    name, *how = asked.split(":")
    own = {name: Reading(objective=objective) for name, objective in experiment.objectives.items()} if how else {}
    known = own | experiment.evaluation.readings
    require(name in known, f"--readings names {name!r}, which is no reading of this model{nearest(name, known)}")
    require(len(how) <= 2, f"--readings={asked} has too many parts; write NAME, NAME:ESTIMATOR or NAME:chain:ORDER.")
    try:
        reading = dataclasses.replace(known[name], **dict(zip(("estimator", "order"), how)))
    except Unplaced as error:
        raise ConfigError(f"--readings={asked}: {str(error).removeprefix('reading.')}") from error
    trained.check(f"--readings={asked}", reading, experiment.objectives)
    return reading
