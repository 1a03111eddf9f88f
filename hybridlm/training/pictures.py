"""Pictures of who sees whom under each objective of a run, on the beginning of a real row."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from hybridlm.config.experiment import Experiment
from hybridlm.masks import materialize
from hybridlm.objectives import single
from hybridlm.objectives.text import Text, from_batch
from hybridlm.training.task import Task

TOKENS = 48
"""How much of a row is drawn: more would be grey."""


def masks(
    experiment: Experiment, task: Task, row: Mapping[str, Int[np.ndarray, "1 T"]]
) -> dict[str, Bool[np.ndarray, "S S"]]:
    """The mask of each objective by name, True where the query (row of the picture) sees the key (column)."""
    text = from_batch({name: jnp.asarray(column) for name, column in row.items()})
    key, found = jax.random.key(experiment.seed), {}
    for number, name in enumerate(experiment.objectives):
        # one program an objective: operation by operation, compiling them took longer than drawing the whole page
        visible = jax.jit(functools.partial(_visible, experiment, task, name))
        is_visible_TS, index_T = jax.device_get(visible(text, jax.random.fold_in(key, number)))
        is_drawn = np.flatnonzero(index_T < TOKENS)
        found[name] = is_visible_TS[np.ix_(is_drawn, is_drawn)]
    return found


def _visible(experiment: Experiment, task: Task, name: str, text: Text, key):
    """Who sees whom in the first row, and where each of its places stands in the row of text."""
    inputs = single.build(name, experiment.objectives[name], text, task.ids, key)
    mask = inputs.mask if experiment.mask is None else inputs.mask & experiment.mask
    return materialize(mask, inputs.facts)[0], inputs.facts.index[0]
