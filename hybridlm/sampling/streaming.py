"""The loop around a sampler, on the host: a compiled chunk of steps, then whoever listens hears what is new."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from hybridlm.sampling.prompts import left_padded
from hybridlm.sampling.trace import Trace

Listen = Callable[[list[list[int]]], Sequence[bool]]
"""listen(new ids of every row) -> which rows have heard enough."""


@dataclasses.dataclass(frozen=True)
class Writer:
    """A way to write, as two functions; the state between them has a field `written: Written`.

    Attributes:
      start: (network, tokens_BP, start_B, keys_B) -> state, with prompts padded on the left; the network is a
        `Network`, or whatever else the writer writes with.
      advance: (network, state) -> state in which more is written; it may use up the state it is given.
      trace: state -> every step on the way there, or None where none is kept.
    """

    start: Callable[[Any, Int[Array, "B P"], Int[Array, "B"], Key[Array, "B"]], Any]
    advance: Callable[[Any, Any], Any]
    trace: Callable[[Any], Trace | None] = lambda state: None


def write(
    writer: Writer, network: Any, prompts: Sequence[Sequence[int]], keys_B: Key[Array, "B"], listen: Listen
) -> Any:
    """Continues prompts until every row has ended or been heard enough; returns the last state."""
    tokens_BP, start_B = left_padded(prompts)
    state = writer.start(network, jnp.asarray(tokens_BP), jnp.asarray(start_B), keys_B)
    heard_B, is_over_B = np.zeros(len(prompts), int), np.zeros(len(prompts), bool)
    while not is_over_B.all():
        state = writer.advance(network, state)
        written = state.written
        tokens_BN, count_B, is_done_B = jax.device_get((written.tokens_BN, written.count_B, written.is_done_B))
        new = [row[heard:count].tolist() for row, heard, count in zip(tokens_BN, heard_B, count_B, strict=True)]
        heard_B, is_over_B = count_B, is_done_B | np.asarray(listen(new), bool)
        written = dataclasses.replace(written, is_done_B=jnp.asarray(is_over_B))
        state = dataclasses.replace(state, written=written)
    return state


@functools.partial(jax.jit, static_argnames="rows")
def row_keys(seed: int | Int[Array, ""], rows: int) -> Key[Array, "B"]:
    """A key for every row, which does not depend on how many there are."""
    return jax.vmap(lambda row: jax.random.fold_in(jax.random.key(seed), row))(jnp.arange(rows))
