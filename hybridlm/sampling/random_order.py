"""Eso-LM (B): a share of the tokens in random order, several at once, then the others left to right (2506.01928).

Slots of the cache stand in the order of writing, while positions are those of the text. A masked token sees what was
written before it and no other mask, so a finished token is what it will always be: this cache is exact. Every pass
reads what the pass before it wrote beside the next masks.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, Key

from hybridlm.config.sampling import Choice
from hybridlm.facts.tokens import TokenFacts, concatenate, from_columns
from hybridlm.masks import Mask
from hybridlm.sampling import cache as caches
from hybridlm.sampling import written as writing
from hybridlm.sampling.cache import Cache
from hybridlm.sampling.canvas import without_mask
from hybridlm.sampling.network import Network
from hybridlm.sampling.noise import drawn, folded, split, uniform
from hybridlm.sampling.prompts import facts_at
from hybridlm.sampling.written import Written


@dataclasses.dataclass(frozen=True)
class Plan:
    """Attributes: alpha_0: the share that comes first. passes: of the first part. size: tokens that each writes. rest:
    tokens after it, one a pass."""

    alpha_0: float
    passes: int
    size: int
    rest: int

    @property
    def tokens(self) -> int:
        """How many are written."""
        return self.passes * self.size + self.rest

    @property
    def sizes(self) -> list[int]:
        """Tokens that each pass writes."""
        return [self.size] * self.passes + [1] * self.rest


def planned(tokens: int, alpha_0: float, steps: int | None) -> Plan:
    """The first part is a share `alpha_0` of the tokens, in whole passes; without `steps` one token each."""
    size = max(-(-round(alpha_0 * tokens) // (steps or tokens)), 1)
    passes = min(round(alpha_0 * tokens / size), tokens // size)
    return Plan(alpha_0, passes, size, tokens - passes * size)


def orders(keys_B: Key[Array, "B"], plan: Plan) -> Int[Array, "B N"]:
    """Which new token of each row's text is written n-th.

    One token a pass, each comes first with probability `alpha_0`, as in training; else as many do as the passes hold.
    """
    time_BN = uniform(keys_B, plan.tokens)
    rank_BN = jnp.argsort(jnp.argsort(time_BN, axis=1), axis=1)
    is_first_BN = time_BN < plan.alpha_0 if plan.size == 1 else rank_BN < plan.passes * plan.size
    return jnp.argsort(jnp.where(is_first_BN, time_BN, 1.0 + jnp.arange(plan.tokens)), axis=1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Attributes:
    cache: of what was read. length_B: of the prompts. keys_B: of each row's noise.
    order_BN: which new token of the text is written n-th. new_BN: the ids written n-th. written: the text.
    """

    cache: Cache
    length_B: Int[Array, "B"]
    keys_B: Key[Array, "B"]
    order_BN: Int[Array, "B N"]
    new_BN: Int[Array, "B N"]
    written: Written


@functools.partial(jax.jit, static_argnames=("plan", "mask"))
def start(
    network: Network,
    prompts_BP: Int[Array, "B P"],
    start_B: Int[Array, "B"],
    keys_B: Key[Array, "B"],
    *,
    plan: Plan,
    mask: Mask,
) -> State:
    """Reads prompts, padded on the left, and draws the order of all that follows."""
    rows, length = prompts_BP.shape
    facts = facts_at(jnp.arange(length)[None], start_B, prompt_slots=length)
    _, cache = caches.prefill(network, prompts_BP, facts, length + plan.tokens, mask)
    order_key_B, keys_B = split(keys_B)
    order_BN = orders(order_key_B, plan)
    nothing = writing.nothing(rows, plan.tokens)
    return State(cache, length - start_B, keys_B, order_BN, jnp.zeros_like(order_BN), nothing)


@functools.partial(jax.jit, static_argnames=("plan", "mask", "choice", "mask_id", "eos"), donate_argnames="state")
def advance(network: Network, state: State, *, plan: Plan, mask: Mask, choice: Choice, mask_id: int, eos: int) -> State:
    """Writes everything."""
    first = 0
    for (before, size), alike in itertools.groupby(itertools.pairwise([0, *plan.sizes])):
        one = functools.partial(_pass, network, mask, choice, mask_id, before=before, size=size, begin=first)
        count = len(list(alike))
        state = lax.fori_loop(0, count, one, state)
        first += count * size
    text_BN = jnp.take_along_axis(state.new_BN, jnp.argsort(state.order_BN, axis=1), axis=1)
    count_B = jnp.full(len(text_BN), text_BN.shape[1])
    return dataclasses.replace(state, written=writing.add(state.written, text_BN, count_B, eos))


def _pass(network, mask, choice, mask_id, number, state: State, *, begin: int, before: int, size: int) -> State:
    """One of several alike: reads the `before` tokens written last, and writes the next `size` of the order."""
    first = begin + number * size
    clean_BT = lax.dynamic_slice_in_dim(state.new_BN, first - before, before, axis=1)
    tokens_BT = jnp.concatenate([clean_BT, jnp.full((len(clean_BT), size), mask_id)], axis=1)
    clean, noisy = _facts(state, first - before, before, stream=0), _facts(state, first, size, stream=1)
    facts, noise_BT = concatenate([clean, noisy], axis=1), (tokens_BT == mask_id).astype(jnp.float32)
    slot = state.cache.facts.shape[1] - state.new_BN.shape[1] + first - before
    hidden_BTD, cache = caches.look(network, state.cache, tokens_BT, facts, slot, mask, noise_BT=noise_BT)
    logits_BTV = without_mask(network.logits(hidden_BTD[:, before:]), mask_id)
    drawn_BT = drawn(folded(state.keys_B, first), logits_BTV, choice).astype(state.new_BN.dtype)
    return dataclasses.replace(
        state,
        cache=caches.commit(cache, facts, slot, is_kept_BT=facts.stream == 0),
        new_BN=lax.dynamic_update_slice_in_dim(state.new_BN, drawn_BT, first, axis=1),
    )


def _facts(state: State, first, size: int, *, stream: int) -> TokenFacts:
    """Of tokens `first` to `first + size` of the order: positions of the text, blocks and index of the order."""
    turn_BT = state.length_B[:, None] + first + jnp.arange(size)
    position_BT = state.length_B[:, None] + lax.dynamic_slice_in_dim(state.order_BN, first, size, axis=1)
    stream_BT = jnp.full_like(turn_BT, stream)
    extra = {"prefix_length": jnp.broadcast_to(state.length_B[:, None], turn_BT.shape)}
    return from_columns(
        jnp.ones_like(turn_BT), position_BT, index_BT=turn_BT, block_BT=turn_BT, stream_BT=stream_BT, extra=extra
    )
