"""One optimizer step as a pure function of (state, batch): draw, forward, backward, update, count."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from hybridlm import attention
from hybridlm.categories.tables import Tables
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import part_names
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import Batch, Task
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.objectives import mixture
from hybridlm.objectives.text import from_batch
from hybridlm.scoring.accumulator import add
from hybridlm.scoring.nll import weighted_nll
from hybridlm.scoring.own_loss import weighted_loss
from hybridlm.scoring.sums import CategorySums, category_sums
from hybridlm.training import filtered, token_weights
from hybridlm.training.state import TrainState


def make(
    experiment: Experiment,
    task: Task,
    optimizer: optax.GradientTransformation,
    *,
    shards: int = 1,
    constrain: Callable | None = None,
    plan: Callable = attention.plan,
) -> Callable[[TrainState, Batch, Tables], TrainState]:
    """The step. `shards` is how many ways rows are divided; `constrain(x, names)` says where arrays lie, and
    `plan` attends there."""
    constrain = constrain or (lambda x, names: x)
    microbatches = experiment.training.accumulate
    shape = (len(part_names(experiment.objectives)), label_count(experiment, task))
    filters = filtered.resolve(experiment, task.tables.families)
    weights = token_weights.resolve(experiment, task)

    def step(state: TrainState, batch: Batch, tables: Tables) -> TrainState:
        key = jax.random.fold_in(jax.random.key(experiment.seed), state.step)
        inputs = draw(experiment, task, batch, key)
        if weights:
            progress = state.step / experiment.training.steps
            inputs = _weighted(task, weights, batch, tables, progress, shape[0], inputs)
        nothing = CategorySums(jnp.zeros(shape), jnp.zeros(shape, jnp.int32))
        loss_of = functools.partial(_loss, experiment, task, filters, batch, tables, shards, constrain, plan)
        grads, loss, sums = _gradients(loss_of, state.params, inputs, microbatches, constrain, nothing)
        return _update(state, optimizer, grads, loss, sums, experiment.training.patience)

    return step


def draw(experiment: Experiment, task: Task, batch: Batch, key: Array) -> LossInputs:
    """What the network is asked in one step; the same for any mesh, since noise depends on (seed, step) alone."""
    return mixture.build(experiment.objectives, from_batch(batch), task.ids, key, also=experiment.mask)


def _loss(experiment, task, filters, batch, tables, shards, constrain, plan, params, inputs: LossInputs):
    """The weighted NLL, or the per-token loss the inputs name, and its sums by objective and category."""
    h_BTD, head = tasks.hidden(task, params, inputs, constrain, plan), tasks.head(task, params)
    weight_BT, chunk = inputs.train_weight_BT, experiment.training.head_chunk
    with jax.named_scope("head"):
        if inputs.loss is None:
            split = {"groups": shards, "chunk": chunk, "dense": inputs.dense, "constrain": constrain}
            loss, nll_BT = weighted_nll(h_BTD, head, inputs.targets_BT, weight_BT, **split)
        else:
            loss, nll_BT = weighted_loss(h_BTD, head, inputs, chunk=chunk, constrain=constrain)
    if experiment.training.categories:
        labels_MBT = _labels(filters, tables, inputs, batch)
    else:
        labels_MBT = jnp.zeros_like(inputs.targets_BT)[None]
    is_counted_BT = inputs.target_index_BT >= 0
    sums = category_sums(
        labels_MBT,
        inputs.part_BX,
        inputs.score_weight_BT * nll_BT,
        is_counted_BT,
        parts=len(part_names(experiment.objectives)),
        categories=label_count(experiment, task),
    )
    return loss, sums


def _weighted(task, weights, batch, tables, progress, parts, inputs: LossInputs) -> LossInputs:
    """The inputs with the token weights of this moment of the run in their training weight."""
    flat_MBT = tasks.labels(tables, inputs.targets_BT, tasks.target_columns(inputs, batch, tables.columns))[1:] - 1
    rarity_BT = -jnp.asarray(task.log_unigram_V)[inputs.targets_BT]
    factor_BT = token_weights.factors(weights, tables, flat_MBT, rarity_BT, progress)
    factor_BT = token_weights.normalised(factor_BT, inputs.target_index_BT >= 0, inputs.part_BX, parts)
    return dataclasses.replace(inputs, train_weight_BT=inputs.train_weight_BT * factor_BT)


def _labels(filters, tables, inputs, batch):
    """Flat labels of every target: all tokens, then one for each family, then one for each filter."""
    labels_MBT = tasks.labels(tables, inputs.targets_BT, tasks.target_columns(inputs, batch, tables.columns))
    if not filters:
        return labels_MBT
    cells_FBT = filtered.cells(filters, tables, labels_MBT[1:] - 1, first=len(tasks.label_names(tables)))
    return jnp.concatenate([labels_MBT, cells_FBT])


def label_count(experiment: Experiment, task: Task) -> int:
    """How many labels and filters the loss is summed by."""
    training = experiment.training
    return len(tasks.label_names(task.tables)) + len(training.filters) if training.categories else 1


def _gradients(loss_of, params, inputs: LossInputs, microbatches: int, constrain, nothing: CategorySums):
    """Gradient, loss and sums over the rows, in several passes if asked; weights already hold the normalisation."""
    grad_of = jax.value_and_grad(loss_of, has_aux=True)

    def one(total, number):
        # every microbatch takes every n-th row, so that all hold the same mix of objectives
        rows = jax.tree.map(lambda x: x.reshape(-1, microbatches, *x.shape[1:])[:, number], inputs)
        rows = jax.tree.map(lambda x: constrain(x, ("batch", "token")[: x.ndim]), rows)
        (loss, sums), grads = grad_of(params, rows)
        return jax.tree.map(jnp.add, total, (grads, loss, sums)), None

    start = (jax.tree.map(jnp.zeros_like, params), jnp.zeros(()), nothing)
    return one(start, 0)[0] if microbatches == 1 else jax.lax.scan(one, start, jnp.arange(microbatches))[0]


@jax.named_scope("optimizer")
def _update(
    state: TrainState,
    optimizer: optax.GradientTransformation,
    grads: Any,
    loss: Array,
    sums: CategorySums,
    patience: int,
) -> TrainState:
    """Applies the gradient unless something in it is not finite; a bad step changes nothing but its counters.

    After `patience` bad steps in a row nothing is applied any more, so that the next log sees them, however many good
    ones follow.
    """
    grad_norm = optax.tree.norm(grads)
    is_good = jnp.isfinite(loss) & jnp.isfinite(grad_norm) & (state.bad_in_row < patience)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)

    def keep(new, old):
        return jax.tree.map(lambda n, o: jnp.where(is_good, n, o), new, old)

    is_bad = (~is_good).astype(jnp.int32)
    return TrainState(
        step=state.step + 1,
        params=keep(params, state.params),
        opt_state=keep(opt_state, state.opt_state),
        bad_in_row=(state.bad_in_row + 1) * is_bad,
        bad=state.bad + is_bad,
        sums=keep(add(state.sums, sums), state.sums),
        grad_norm=grad_norm,
        loss=loss,
    )
