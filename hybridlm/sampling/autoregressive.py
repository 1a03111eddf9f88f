"""One token after the other: p(x) = prod_i p(x_i | x_<i), with the keys and values of earlier tokens kept.

The prompt is read in one pass. Then each step reads the last token alone and chooses the next, so many steps in one
compiled loop of known length: the device never waits for the host inside it, and between two loops the host may stop.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, Key

from hybridlm.config.sampling import Choice
from hybridlm.masks import Mask
from hybridlm.sampling import cache as caches
from hybridlm.sampling import written as writing
from hybridlm.sampling.cache import Cache
from hybridlm.sampling.choose import draw
from hybridlm.sampling.network import Network
from hybridlm.sampling.prompts import facts_at
from hybridlm.sampling.written import Written


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Between two steps.

    Attributes:
      cache: of the tokens before the last one. last_B: the last token. slot: where it stands.
      start_B: the slot of each row's first token. prompt_slots: how many slots prompts took.
      keys_B: of each row's noise, so that a row's text does not depend on the others. written: the text.
    """

    cache: Cache
    last_B: Int[Array, "B"]
    slot: Int[Array, ""]
    start_B: Int[Array, "B"]
    prompt_slots: Int[Array, ""]
    keys_B: Key[Array, "B"]
    written: Written


@functools.partial(jax.jit, static_argnames=("tokens", "mask"))
def start(
    network: Network,
    tokens_BP: Int[Array, "B P"],
    start_B: Int[Array, "B"],
    keys_B: Key[Array, "B"],
    *,
    tokens: int,
    mask: Mask,
) -> State:
    """Reads prompts, padded on the left, and makes room for so many new tokens.

    The last token of a prompt is read again by the first step, in its place, so that every step is alike.
    """
    rows, length = tokens_BP.shape
    facts = facts_at(jnp.arange(length)[None], start_B, prompt_slots=length)
    _, cache = caches.prefill(network, tokens_BP, facts, length + tokens, mask)
    slots = jnp.asarray(length, jnp.int32)
    return State(cache, tokens_BP[:, -1], slots - 1, start_B, slots, keys_B, writing.nothing(rows, tokens))


@functools.partial(jax.jit, static_argnames=("mask", "choice", "eos", "steps"), donate_argnames="state")
def advance(network: Network, state: State, *, mask: Mask, choice: Choice, eos: int, steps: int) -> State:
    """So many tokens more in every row that has not ended."""
    one = functools.partial(_step, network, mask, choice, eos)
    return lax.fori_loop(0, steps, lambda _, state: one(state), state)


def _step(network: Network, mask: Mask, choice: Choice, eos: int, state: State) -> State:
    facts = facts_at(state.slot[None, None], state.start_B, prompt_slots=state.prompt_slots)
    hidden_BTD, cache = caches.append(network, state.cache, state.last_B[:, None], facts, state.slot, mask)
    next_B = draw_rows(state.keys_B, facts.position[:, 0], network.logits(hidden_BTD[:, 0]), choice)
    return dataclasses.replace(
        state,
        cache=cache,
        last_B=next_B,
        slot=state.slot + 1,
        written=writing.add(state.written, next_B[:, None], jnp.ones_like(next_B), eos),
    )


def draw_rows(keys_B: Key[Array, "B"], step_B: Int[Array, "B"], logits_BV: Array, choice: Choice) -> Int[Array, "B"]:
    """One token a row, from the row's own noise at this step."""
    return jax.vmap(lambda key, step, logits_V: draw(jax.random.fold_in(key, step), logits_V, choice))(
        keys_B, step_B, logits_BV
    )
