"""Pictures of who sees whom under each objective of a run, on the beginning of a real row."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from hybridlm.config.experiment import Experiment
from hybridlm.evaluation.task import Task
from hybridlm.masks import materialize
from hybridlm.objectives import single
from hybridlm.objectives.text import Text, from_batch

TOKENS = 48
"""How much of a row is drawn: more would be grey."""


def masks(
    experiment: Experiment, task: Task, row: Mapping[str, Int[np.ndarray, "1 T"]]
) -> dict[str, Bool[np.ndarray, "S S"]]:
    """The mask of each objective by title, True where the query (row of the picture) sees the key (column).

    Rows end early, so that what an objective draws at random, such as the end of a prefix, lies in the picture.
    """
    text = from_batch({name: jnp.asarray(column[:, :TOKENS]) for name, column in row.items()})
    key, found = jax.random.key(experiment.seed), {}
    for number, name in enumerate(experiment.objectives):
        # one program an objective: operation by operation, compiling them took longer than drawing the whole page
        visible = jax.jit(functools.partial(_visible, experiment, task, name))
        is_visible_TS, index_T, stream_T = jax.device_get(visible(text, jax.random.fold_in(key, number)))
        is_drawn = np.flatnonzero(index_T < TOKENS)
        found[_title(name, stream_T[is_drawn])] = is_visible_TS[np.ix_(is_drawn, is_drawn)]
    return found


def _title(name: str, stream_T: Int[np.ndarray, "S"]) -> str:
    """The objective and, where it reads copies of the text side by side, which of them are clean and which noisy."""
    copies = ["noisy" if stream else "clean" for stream in dict.fromkeys(stream_T.tolist())]
    return name if len(copies) == 1 else f"{name}: {' and '.join(copies)} copy"


def _visible(experiment: Experiment, task: Task, name: str, text: Text, key):
    """Who sees whom in the first row, and where each of its places stands in the row of text and in which copy."""
    inputs = single.build(name, experiment.objectives[name], text, task.ids, key)
    mask = inputs.mask if experiment.mask is None else inputs.mask & experiment.mask
    return materialize(mask, inputs.facts)[0], inputs.facts.index[0], inputs.facts.stream[0]
