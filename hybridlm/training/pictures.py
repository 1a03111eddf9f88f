"""Pictures of who sees whom under each objective of a run, on the beginning of a real row."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from hybridlm.config.experiment import Experiment
from hybridlm.masks import materialize
from hybridlm.objectives import single
from hybridlm.objectives.text import from_batch
from hybridlm.training.task import Task

TOKENS = 48
"""How much of a row is drawn: more would be grey."""


def masks(
    experiment: Experiment, task: Task, row: Mapping[str, Int[np.ndarray, "1 T"]]
) -> dict[str, Bool[np.ndarray, "S S"]]:
    """The mask of each objective by name, True where the query (row of the picture) sees the key (column)."""
    text = from_batch({name: jnp.asarray(column) for name, column in row.items()})
    key, found = jax.random.key(experiment.seed), {}
    for number, (name, objective) in enumerate(experiment.objectives.items()):
        inputs = single.build(name, objective, text, task.ids, jax.random.fold_in(key, number))
        mask = inputs.mask if experiment.mask is None else inputs.mask & experiment.mask
        is_drawn = np.flatnonzero(np.asarray(inputs.facts.index[0]) < TOKENS)
        found[name] = np.asarray(materialize(mask, inputs.facts)[0])[np.ix_(is_drawn, is_drawn)]
    return found
