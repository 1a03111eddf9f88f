"""Drafts verified by the network itself, so that several tokens cost one pass and the text's law stays the same.

A draft x_1..x_D is drawn from q_1..q_D and read in one pass, which gives p_1..p_D+1. From the left, x_i is accepted
with probability min(1, p_i(x_i) / q_i(x_i)). In place of the first that is not, a token is drawn from
max(p_i - q_i, 0), normalised; after a draft accepted whole, one more from p_D+1. Every token then follows p, whatever
q was (Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318).
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from hybridlm.config.sampling import Choice
from hybridlm.masks import Mask
from hybridlm.sampling import cache as caches
from hybridlm.sampling import written as writing
from hybridlm.sampling.cache import Cache
from hybridlm.sampling.choose import filtered
from hybridlm.sampling.network import Network
from hybridlm.sampling.prompts import facts_at
from hybridlm.sampling.written import Written


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Between two drafts.

    Attributes:
      cache: of the tokens before the last one. text_BS: the token in each slot. slot_B: where each row's last one is.
      start_B: the slot of each row's first token. prompt_slots: how many slots prompts took.
      keys_B: of each row's noise. written: the text. drafts_B: how many were verified.
    """

    cache: Cache
    text_BS: Int[Array, "B S"]
    slot_B: Int[Array, "B"]
    start_B: Int[Array, "B"]
    prompt_slots: Int[Array, ""]
    keys_B: Key[Array, "B"]
    written: Written
    drafts_B: Int[Array, "B"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Draft:
    """Attributes:
    tokens_BD: proposed next tokens. logits_BDV: of the distribution each was drawn from, given those before it.
    count_B: how many of them are meant; the others are never accepted.
    """

    tokens_BD: Int[Array, "B D"]
    logits_BDV: Float[Array, "B D V"]
    count_B: Int[Array, "B"]


Drafter = Callable[..., tuple[Draft, Cache]]
"""draft(network, state, keys_B) -> (Draft, cache): proposes tokens for the slots after `state.slot_B`; it may look at
tokens in slots from `state.slot_B` on, and hands back the cache it looked with."""


@functools.partial(jax.jit, static_argnames=("tokens", "room", "mask"))
def start(
    network: Network,
    tokens_BP: Int[Array, "B P"],
    start_B: Int[Array, "B"],
    keys_B: Key[Array, "B"],
    *,
    tokens: int,
    room: int,
    mask: Mask,
) -> State:
    """Reads prompts, padded on the left; `room` is for what is looked at beyond the last token."""
    rows, length = tokens_BP.shape
    facts = facts_at(jnp.arange(length)[None], start_B, prompt_slots=length)
    _, cache = caches.prefill(network, tokens_BP, facts, length + tokens + room, mask)
    slots, none_B = jnp.asarray(length, jnp.int32), jnp.zeros(rows, jnp.int32)
    return State(
        cache=cache,
        text_BS=jnp.pad(tokens_BP, ((0, 0), (0, tokens + room))),
        slot_B=none_B + slots - 1,
        start_B=start_B,
        prompt_slots=slots,
        keys_B=keys_B,
        written=writing.nothing(rows, tokens),
        drafts_B=none_B,
    )


@functools.partial(jax.jit, static_argnames=("draft", "mask", "choice", "eos", "drafts"), donate_argnames="state")
def advance(
    network: Network, state: State, *, draft: Drafter, mask: Mask, choice: Choice, eos: int, drafts: int
) -> State:
    """So many drafts more in every row that has not ended."""
    one = functools.partial(_round, network, draft, mask, choice, eos)
    return lax.fori_loop(0, drafts, lambda _, state: one(state), state)


def _round(network: Network, draft: Drafter, mask: Mask, choice: Choice, eos: int, state: State) -> State:
    keys_B = jax.vmap(jax.random.fold_in)(state.keys_B, state.slot_B - state.start_B)
    draft_B, accept_B = jax.vmap(lambda key: tuple(jax.random.split(key)))(keys_B)
    found, cache = draft(network, state, draft_B)
    slot_BT = state.slot_B[:, None] + jnp.arange(found.tokens_BD.shape[1] + 1)
    read_BT = jnp.concatenate([_at(state.text_BS, state.slot_B, 1), found.tokens_BD], axis=1)
    facts = facts_at(slot_BT, state.start_B, prompt_slots=state.prompt_slots)
    hidden_BTD, cache = caches.look(network, cache, read_BT, facts, state.slot_B, mask)
    logits_BTV = filtered(network.logits(hidden_BTD), choice)
    accepted_B, next_B = jax.vmap(accept)(accept_B, found.tokens_BD, found.count_B, logits_BTV, found.logits_BDV)
    place_BT = jnp.arange(read_BT.shape[1])
    new_BT = jnp.where(place_BT == accepted_B[:, None], next_B[:, None], jnp.roll(read_BT, -1, axis=1))
    moves_B = jnp.where(state.written.is_done_B, 0, accepted_B + 1)
    return dataclasses.replace(
        state,
        cache=caches.commit(cache, facts, state.slot_B, is_kept_BT=place_BT < moves_B[:, None]),
        text_BS=jax.vmap(lax.dynamic_update_slice_in_dim, (0, 0, 0, None))(state.text_BS, new_BT, state.slot_B + 1, 0),
        slot_B=state.slot_B + moves_B,
        written=writing.add(state.written, new_BT, accepted_B + 1, eos),
        drafts_B=state.drafts_B + (moves_B > 0),
    )


def accept(
    key: Key[Array, ""],
    tokens_D: Int[Array, "D"],
    count: Int[Array, ""],
    logits_TV: Float[Array, "D+1 V"],
    drafted_DV: Float[Array, "D V"],
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """How many drafted tokens are accepted from the left, and the token that follows them.

    `logits_TV` are of p at every drafted token and after the last, `drafted_DV` of q, both already filtered.
    """
    coin_key, draw_key = jax.random.split(key)
    p_TV, q_DV = jax.nn.softmax(logits_TV), jax.nn.softmax(drafted_DV)
    place_D = jnp.arange(tokens_D.shape[0])
    coin_D = jax.random.uniform(coin_key, tokens_D.shape)
    is_good_D = (coin_D * q_DV[place_D, tokens_D] < p_TV[place_D, tokens_D]) & (place_D < count)
    accepted = jnp.cumprod(is_good_D.astype(jnp.int32)).sum()
    q_V = jnp.where(accepted < count, jnp.pad(q_DV, ((0, 1), (0, 0)))[accepted], 0)
    left_V = jnp.maximum(p_TV[accepted] - q_V, 0)
    # p = q up to rounding rejects almost never; then nothing may be left over
    left_V = jnp.where(left_V.sum() > 0, left_V, p_TV[accepted])
    return accepted, jax.random.categorical(draw_key, jnp.log(left_V), mode="high").astype(jnp.int32)


def _at(text_BS: Int[Array, "B S"], slot_B: Int[Array, "B"], length: int) -> Int[Array, "B T"]:
    return jax.vmap(lambda text_S, slot: lax.dynamic_slice_in_dim(text_S, slot, length))(text_BS, slot_B)
