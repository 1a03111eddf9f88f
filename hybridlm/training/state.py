"""All that changes from step to step, and all that a resumed run needs to go on bit for bit."""

import dataclasses
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AbstractMesh, Mesh
from jaxtyping import Array, Int

from hybridlm.scoring.accumulator import Accumulator, empty
from hybridlm.sharding.placement import replicated
from hybridlm.sharding.rules import shardings


@no_type_check  # the same tree also holds shapes and shardings
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Attributes:
    step: optimizer steps taken. params, opt_state: the model and its optimizer.
    bad_in_row, bad: steps not applied because loss or gradient was not finite: the last ones in a row, and all.
    sums: category sums since the last log. grad_norm, loss: of the last step, with its training weights.
    """

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    bad_in_row: Int[Array, ""]
    bad: Int[Array, ""]
    sums: Accumulator
    grad_norm: Array
    loss: Array


def start(params: Any, optimizer: optax.GradientTransformation, parts: int, labels: int) -> TrainState:
    """The state before the first step."""
    # one buffer each: a donated state must not hold the same array twice
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        bad_in_row=jnp.zeros((), jnp.int32),
        bad=jnp.zeros((), jnp.int32),
        sums=empty(parts, labels),
        grad_norm=jnp.zeros((), jnp.float32),
        loss=jnp.zeros((), jnp.float32),
    )


def to_dict(state: TrainState) -> dict[str, Any]:
    """The state by name, as a checkpoint holds it."""
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def from_dict(fields: dict[str, Any]) -> TrainState:
    """The state a checkpoint held."""
    return TrainState(**fields)


def placed(state: TrainState, mesh: Mesh | AbstractMesh) -> TrainState:
    """Parameters and optimizer state by the rules; counters and sums on every device."""
    everywhere = jax.tree.map(lambda _: replicated(mesh), state)
    return dataclasses.replace(
        everywhere, params=shardings(state.params, mesh), opt_state=shardings(state.opt_state, mesh)
    )
