"""Two experts write one text: at every token their predictions become one distribution, and one token is drawn from it.

It is the distribution that the combination is scored by, so a text's law is exp of minus its scores. Where a gate keeps
the first expert, the second is not asked, which is what a refiner saves.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from hybridlm.combine.combined import Combined, Frequencies, combined
from hybridlm.combine.rules import normalised
from hybridlm.config.combination import Combination
from hybridlm.config.sampling import Choice
from hybridlm.sampling import written as writing
from hybridlm.sampling.autoregressive import draw_rows
from hybridlm.sampling.experts import Expert, Memory, Text
from hybridlm.sampling.network import Network
from hybridlm.sampling.streaming import Writer
from hybridlm.sampling.written import Written

Experts = tuple[Expert, Expert]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Networks:
    """Attributes: first, second: of the two experts, perhaps the same. frequencies: what gates know of ids."""

    first: Network
    second: Network
    frequencies: Frequencies


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Between two tokens.

    Attributes:
      text: all rows. memories: of both experts. keys_B: of each row's noise. written: the new text.
      share_BN: of the first expert in each new token. nats_BN: -log of its probability before temperature and filters.
    """

    text: Text
    memories: tuple[Memory, Memory]
    keys_B: Key[Array, "B"]
    written: Written
    share_BN: Float[Array, "B N"]
    nats_BN: Float[Array, "B N"]


def writer(experts: Experts, combination: Combination, choice: Choice, *, tokens: int, chunk: int, eos: int) -> Writer:
    """The two as one writer, whose network is a `Networks`."""
    about = {"experts": experts, "combination": combination, "choice": choice, "eos": eos}
    steps = -(-tokens // -(-tokens // chunk))
    start_two = functools.partial(start, experts=experts, tokens=tokens)
    return Writer(start_two, functools.partial(advance, **about, steps=steps))


@functools.partial(jax.jit, static_argnames=("experts", "tokens"))
def start(
    networks: Networks,
    tokens_BP: Int[Array, "B P"],
    start_B: Int[Array, "B"],
    keys_B: Key[Array, "B"],
    *,
    experts: Experts,
    tokens: int,
) -> State:
    """Reads prompts, padded on the left, with both experts."""
    rows, length = tokens_BP.shape
    behind = tokens + max(expert.room for expert in experts)
    slots = jnp.asarray(length, jnp.int32)
    prompts = Text(tokens_BP, slots - 1, start_B, slots)
    memories = tuple(
        expert.start(network, prompts, length + behind)
        for expert, network in zip(experts, (networks.first, networks.second), strict=True)
    )
    text = dataclasses.replace(prompts, tokens_BS=jnp.pad(tokens_BP, ((0, 0), (0, behind))))
    nothing_BN = jnp.zeros((rows, tokens))
    return State(text, memories, keys_B, writing.nothing(rows, tokens), nothing_BN, nothing_BN)


@functools.partial(
    jax.jit, static_argnames=("experts", "combination", "choice", "eos", "steps"), donate_argnames="state"
)
def advance(
    networks: Networks,
    state: State,
    *,
    experts: Experts,
    combination: Combination,
    choice: Choice,
    eos: int,
    steps: int,
) -> State:
    """So many tokens more in every row that has not ended."""
    one = functools.partial(_step, networks, experts, combination, choice, eos)
    return lax.fori_loop(0, steps, lambda _, state: one(state), state)


def _step(
    networks: Networks, experts: Experts, combination: Combination, choice: Choice, eos: int, state: State
) -> State:
    found, memories = _ask(networks, experts, combination, state)
    next_B = draw_rows(state.keys_B, state.text.slot - state.text.start_B, found.logp_NV, choice)
    nats_B = -jnp.take_along_axis(found.logp_NV, next_B[:, None], axis=1)[:, 0]
    is_next_BN = jnp.arange(state.share_BN.shape[1]) == state.written.count_B[:, None]
    is_next_BN &= ~state.written.is_done_B[:, None]
    slot = state.text.slot + 1
    tokens_BS = lax.dynamic_update_slice_in_dim(state.text.tokens_BS, next_B[:, None], slot, axis=1)
    return State(
        text=dataclasses.replace(state.text, tokens_BS=tokens_BS, slot=slot),
        memories=memories,
        keys_B=state.keys_B,
        written=writing.add(state.written, next_B[:, None], jnp.ones_like(next_B), eos),
        share_BN=jnp.where(is_next_BN, found.share_N[:, None], state.share_BN),
        nats_BN=jnp.where(is_next_BN, nats_B[:, None], state.nats_BN),
    )


def _ask(
    networks: Networks, experts: Experts, combination: Combination, state: State
) -> tuple[Combined, tuple[Memory, Memory]]:
    """What both say of the next token, joined; a refiner asks the second where some row is not sure enough."""
    first_BV, first = experts[0].ask(networks.first, state.memories[0], state.text)
    logp_BV = normalised(first_BV)

    def ask(memory):
        second_BV, memory = experts[1].ask(networks.second, memory, state.text)
        return normalised(second_BV), memory

    if combination.gate == "refine":
        is_sure_B = jnp.exp(logp_BV.max(-1)) >= combination.threshold
        is_kept = (is_sure_B | state.written.is_done_B).all()
        other_BV, second = lax.cond(is_kept, lambda memory: (logp_BV, memory), ask, state.memories[1])
    else:
        other_BV, second = ask(state.memories[1])
    return combined(combination, logp_BV, other_BV, networks.frequencies), (first, second)
