"""Every config that is shipped can be built, and its step and its readings fit together; nothing is computed for it."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config import command_line
from hybridlm.evaluation import readings
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import UNIGRAM
from hybridlm.training import optimizers
from hybridlm.training import state as states
from hybridlm.training import step as steps

ROOT = pathlib.Path(__file__).parents[2]
COLUMNS = ("tokens", "segment_ids", "positions", "document", "group", "language", "word_band")
SPECIAL = {"pad": 0, "bos": 1, "eos": 2, "mask": 3}


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/**/*.py")), ids=lambda path: path.stem)
def test_a_step_and_the_readings_of_a_config_fit_together(path):
    experiment = command_line.load(str(path), {"model.layers": "2"})  # more are more of the same
    size = experiment.data.vocab_size
    token_bytes = [b"" if n < 4 else bytes([n % 256]) for n in range(size)]
    task = tasks.make(experiment, token_bytes, np.ones(size, np.int64), SPECIAL, domains=("one", "another"))
    optimizer = optimizers.make(experiment.optimizer, experiment.training.steps)
    parts, labels = len(experiment.objectives), steps.label_count(experiment, task)
    fresh = functools.partial(states.start, optimizer=optimizer, parts=parts, labels=labels)
    before = jax.eval_shape(lambda: fresh(tasks.init(task, jax.random.key(0))))

    def rows(count):
        shape = jax.ShapeDtypeStruct((count, experiment.data.row_length), jnp.int32)
        return dict.fromkeys(COLUMNS, shape)

    after = jax.eval_shape(
        lambda state, batch: steps.make(experiment, task, optimizer)(state, batch, task.tables),
        before,
        rows(experiment.training.batch_rows),
    )
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), before
    )
    read = readings.scorer(task, experiment.evaluation, experiment.mask)
    found, _ = jax.eval_shape(
        lambda params, batch: read(params, batch, 0), before.params, rows(experiment.evaluation.batch_rows)
    )
    assert set(found) == {*experiment.evaluation.readings, UNIGRAM}
