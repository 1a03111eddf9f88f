"""Filtered losses: the mean NLL of the targets that a boolean filter over labels lets through, as the model trains.

To the step a filter is one more category: a target it lets through counts in the filter's cell, any other in none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int

from hybridlm.categories import registry
from hybridlm.categories.filters import Both, Either, Filter, Not, OneOf, parse
from hybridlm.categories.tables import Tables, by_family
from hybridlm.config.errors import ConfigError, require
from hybridlm.config.experiment import Experiment

NOWHERE = 2**30
"""A flat label past all categories of all rows."""


def check(experiment: Experiment) -> None:
    """Refuses filters that cannot be read, or that training rows with these labels could not answer; needs no data."""
    registry.load(experiment.data.label_modules)
    labelled = [family for family in registry.families() if not family.compile or family.name in experiment.data.labels]
    resolve(experiment, labelled)
    of_weights(experiment, labelled)


def resolve(experiment: Experiment, families: Sequence[Any]) -> dict[str, Filter]:
    """The filters of a config by name. `families`, or the partitions of tables, are those of its training rows."""
    texts = experiment.training.filters
    return {
        name: _resolve(experiment, families, f"training.filters[{name!r}]={text!r}", text)
        for name, text in texts.items()
    }


def of_weights(experiment: Experiment, families: Sequence[Any]) -> list[Filter]:
    """The filters of its token weights, in order."""
    texts = [weight.tokens for weight in experiment.training.token_weights]
    return [_resolve(experiment, families, f"training.token_weights: tokens={text!r}", text) for text in texts]


def _resolve(experiment: Experiment, families: Sequence[Any], where: str, text: str) -> Filter:
    here = {family.name: family for family in families}
    known = {family.name: family for family in registry.families()} | here
    try:
        wanted = parse(text, tuple(known.values()))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    missing = sorted(set(_read_by(wanted)) - set(here))
    require(not missing, f"{where} reads {', '.join(missing)}, {_cause(experiment, missing)}")
    return wanted


def _read_by(wanted: Filter) -> Iterator[str]:
    """The families a filter reads."""
    match wanted:
        case OneOf(family=family):
            yield family
        case Not(inner=inner):
            yield from _read_by(inner)
        case Both(left=left, right=right) | Either(left=left, right=right):
            yield from (*_read_by(left), *_read_by(right))


def _cause(experiment: Experiment, missing: Sequence[str]) -> str:
    compiled = tuple(family.name for family in registry.families() if family.compile and family.name in missing)
    if not compiled:
        return "but the domains of these data have no names, so nothing says which one a token is of."
    labels = (*experiment.data.labels, *(name for name in compiled if name not in experiment.data.labels))
    return (
        "which training rows are not labelled by: they have the labels that data.labels names, held-out rows all of "
        f"them. Prepare the text with --config.data.labels={','.join(labels)}."
    )


def cells(
    filters: Mapping[str, Filter], tables: Tables, flat_MBT: Int[Array, "M B T"], *, first: int
) -> Int[Array, "N B T"]:
    """The category of every target for each of N filters, numbered from `first`, or `NOWHERE`; jit-able."""
    labels = by_family(tables, flat_MBT)
    is_through = [wanted.select(labels, tables.families) for wanted in filters.values()]
    return jnp.stack([jnp.where(through_BT, first + n, NOWHERE) for n, through_BT in enumerate(is_through)])
