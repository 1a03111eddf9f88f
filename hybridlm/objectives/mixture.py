"""Rows of several objectives in one batch under one mask, each weighted by its ratio."""

import dataclasses
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from hybridlm import masks
from hybridlm.config.errors import require
from hybridlm.config.objective import Objective
from hybridlm.config.rows import Allocation, allocate
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.masks import Mask
from hybridlm.objectives.single import build as build_one
from hybridlm.objectives.text import Ids, Text

WINDOW = masks.custom(lambda q, k: (q.index - k.index <= q.window_left) & (k.index - q.index <= q.window_right))
"""A window that differs between rows, as two more facts."""


def build(
    objectives: Mapping[str, Objective],
    text: Text,
    ids: Ids,
    key: Key[Array, ""],
    *,
    also: Mask | None = None,
) -> LossInputs:
    """Inputs of a step: each objective takes its rows of the text, and the loss is the mean of its objectives by ratio.

    A single objective keeps its named mask, which a fused kernel may recognise; a mixture has `masks.unified()`, joined
    by `WINDOW` if an objective has one, and an imported builder in it must have `masks.unified()` too. `also` is a
    user's own mask, joined by &.
    """
    allocation = allocate(objectives, text.tokens_BT.shape[0])
    built = list(_each(objectives, allocation, text, ids, key))
    require(
        len({one.loss for one in built}) == 1,
        "all objectives of a mixture share one per-token loss, but a builder returned another `loss` than the others; "
        "give all of them the same, or train this objective alone.",
    )
    inputs = built[0] if len(built) == 1 else _join(built, allocation)
    if _is_narrow(objectives):
        inputs = dataclasses.replace(inputs, mask=inputs.mask & WINDOW)
    return inputs if also is None else dataclasses.replace(inputs, mask=inputs.mask & also)


def _each(objectives, allocation, text, ids, key) -> Iterator[LossInputs]:
    """The inputs of each objective on its own rows, numbered, weighted and as wide as the whole step has them."""
    total, narrow = sum(objective.ratio for objective in objectives.values()), _is_narrow(objectives)
    first, first_part = 0, 0
    for number, (name, objective) in enumerate(objectives.items()):
        rows = allocation.rows[name]
        one = build_one(name, objective, text.rows(first, first + rows), ids, jax.random.fold_in(key, number))
        if objective.builder and len(objectives) > 1:
            _check_unified(name, one)
        one = _as_part(one, first_part, first * text.tokens_BT.shape[1], objective.ratio / total)
        one = one if objective.streams == allocation.streams else _pair_rows(one)
        yield _with_window(one, objective) if narrow else one
        first, first_part = first + rows, first_part + len(one.parts)


def _is_narrow(objectives: Mapping[str, Objective]) -> bool:
    """Do rows differ in how far they see?"""
    return len(objectives) > 1 and any(objective.window for objective in objectives.values())


def _check_unified(name: str, one: LossInputs) -> None:
    require(
        one.mask == masks.unified(),
        f"all rows of a mixture see by one rule, masks.unified(), but objectives.{name}.builder returned mask="
        f"{one.mask!r}; say who sees whom in facts.block and facts.stream, or train this objective alone.",
    )


def _with_window(one: LossInputs, objective: Objective) -> LossInputs:
    """The facts that `WINDOW` reads; without a window they reach over the whole row."""
    sizes = dict(zip(("window_left", "window_right"), objective.window or one.inputs_BT.shape[1:] * 2, strict=True))
    extra = {name: jnp.full_like(one.facts.index, size) for name, size in sizes.items()}
    return dataclasses.replace(one, facts=dataclasses.replace(one.facts, extra={**one.facts.extra, **extra}))


def _as_part(one: LossInputs, first_part: int, first_token: int, ratio: float) -> LossInputs:
    """Renumbers targets and weights for the whole step."""
    return dataclasses.replace(
        one,
        target_index_BT=jnp.where(one.target_index_BT >= 0, one.target_index_BT + first_token, -1),
        train_weight_BT=one.train_weight_BT * ratio,
        part_BX=one.part_BX + first_part,
    )


def _pair_rows(one: LossInputs) -> LossInputs:
    """Two rows of one stream side by side in one of twice the width; they stay separate documents.

    `index` counts along each text row as it does where the row stands alone, so that masks that read it mean the same.
    """
    length, facts = one.inputs_BT.shape[1], one.facts

    def later(column_BT, step: int):
        """Adds `step` to every other row: the one that becomes the right half."""
        return column_BT + step * (jnp.arange(column_BT.shape[0]) % 2)[:, None].astype(column_BT.dtype)

    facts = dataclasses.replace(
        facts,
        in_order=False,
        block=later(facts.block, length),
        segment=jnp.where(facts.segment > 0, later(facts.segment, length), 0),
    )
    one = dataclasses.replace(one, facts=facts)
    return jax.tree.map(lambda column: column.reshape(-1, 2 * column.shape[1]), one)


def _join(built: list[LossInputs], allocation: Allocation) -> LossInputs:
    """All rows of the step under the one rule, those of each objective spread evenly over the batch."""
    parts = tuple(part for one in built for part in one.parts)
    dense, in_order = all(one.dense for one in built), all(one.facts.in_order for one in built)
    static = {"parts": parts, "dense": dense, "first_target": min(one.first_target for one in built)}

    def alike(one: LossInputs) -> LossInputs:
        facts = dataclasses.replace(one.facts, in_order=in_order)
        return dataclasses.replace(one, facts=facts, mask=masks.unified(), **static)

    # row k of the step is the next unused row of objective order[k]
    place = np.argsort(np.argsort(allocation.order, kind="stable"))
    return jax.tree.map(lambda *columns: jnp.concatenate(columns)[place], *map(alike, built))
