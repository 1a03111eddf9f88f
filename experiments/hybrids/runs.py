"""Every run by name: a family, a seed, and for the systems of the articles what is changed about its training."""

import dataclasses
from collections.abc import Callable

from experiments.hybrids.families import FAMILIES
from experiments.hybrids.shape import KEPT
from hybridlm.config.experiment import Experiment
from hybridlm.config.token_weights import TokenWeight
from hybridlm.config.training import CheckpointConfig

RARE = "frequency_mass=rarest_quarter"
SEEDS = {"ar": 3, "shared": 3}
"""Families trained from more than one seed; all others from seed 0."""


def _weighted(experiment: Experiment, weight: TokenWeight) -> Experiment:
    return dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, token_weights=(weight,)))


def up_weighted(experiment: Experiment) -> Experiment:
    """The loss of the rarest quarter counts twice."""
    return _weighted(experiment, TokenWeight(tokens=RARE, factor=2.0))


def curriculum(experiment: Experiment) -> Experiment:
    """Rare tokens begin at a quarter of their weight and reach all of it at half of the run."""
    return _weighted(experiment, TokenWeight(tokens=RARE, factor=0.25, strength=(1.0, 0.0), between=(0.0, 0.5)))


def balanced(experiment: Experiment) -> Experiment:
    """Rows of rare tokens are read more often, up to four times."""
    mixing = tuple(dataclasses.replace(one, rare_power=1.0) for one in experiment.data.mixing)
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, mixing=mixing))


PLACEBO = "ar"
"""The run whose earlier checkpoints are kept, to be held against others of the same average."""
CHANGES: dict[str, Callable[[Experiment], Experiment]] = {
    "up_weighted": up_weighted,
    "curriculum": curriculum,
    "balanced": balanced,
}
CHANGED = ("ar:up_weighted", "ar:curriculum", "ar:balanced", "shared:balanced")


def names() -> tuple[str, ...]:
    """`family`, `family:change`, and `family@seed` for further seeds."""
    seeds = tuple(f"{family}@{seed}" for family, count in SEEDS.items() for seed in range(1, count))
    return (*FAMILIES, *CHANGED, *seeds)


def experiment(base: Experiment, name: str) -> Experiment:
    """The run of a name."""
    rest, _, seed = name.partition("@")
    family, _, change = rest.partition(":")
    objectives, readings = FAMILIES[family]
    found = dataclasses.replace(
        base,
        name=name,
        seed=int(seed or 0),
        objectives=objectives,
        evaluation=dataclasses.replace(base.evaluation, readings=readings),
    )
    if name == PLACEBO:
        every, keep = KEPT
        found = dataclasses.replace(found, checkpoint=CheckpointConfig(every=every, keep=keep))
    return CHANGES[change](found) if change else found
