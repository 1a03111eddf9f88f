"""Keys and values of tokens already read, with the facts of these tokens, so that decoding and training share one mask.

A cache has S slots. Reading new tokens writes their keys and values into slots from `slot` on, and they see the cached
tokens that the mask shows them, and each other. What was read becomes visible to later tokens only by `commit`, which
writes facts alone: so noisy blocks and unverified drafts are looked at and then overwritten, and an accepted draft
costs nothing more. A network never learns of any of this: per layer, it hands an array to its `mix`.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from hybridlm import attention, masks
from hybridlm.facts.head import NEVER
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask
from hybridlm.sampling.network import Network, stacked, unstacked

Slot = Int[Array, ""] | Int[Array, "B"] | int
"""The first slot to write to: one for all rows, or one per row."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """Attributes:
    layers: of every layer the keys of all heads, then the values of all heads, so that both are written at once. A
      head's slots lie side by side, so that a query's products with them are plain batched matrix products. Layers are
      arrays of their own: each is then updated in place.
    facts: of the token in each slot, [B, S]; `valid` is 0 where no visible token is.
    """

    layers: tuple[Float[Array, "B _ S K"], ...]
    facts: TokenFacts


def prefill(
    network: Network, tokens_BT: Int[Array, "B T"], facts: TokenFacts, slots: int, mask: Mask
) -> tuple[Float[Array, "B T D"], Cache]:
    """Reads the first tokens in one pass, into a new cache; they take its first slots. Padding is never seen."""
    room = slots - tokens_BT.shape[1]

    def mix(layer, q_BTHK, k_BTJK, v_BTJK, state):
        plan = attention.plan(mask & masks.valid(), facts, dtype=q_BTHK.dtype, head_width=q_BTHK.shape[-1])
        padded = jnp.pad(_by_head(k_BTJK, v_BTJK), ((0, 0), (0, 0), (0, room), (0, 0)))
        return plan.attend(q_BTHK, k_BTJK, v_BTJK), padded

    hidden_BTD, state = network.apply(network.params, tokens_BT, facts, mix)
    rows = tokens_BT.shape[0]
    facts = jax.tree.map(lambda column: jnp.pad(_in_rows(column, rows), ((0, 0), (0, room))), facts)
    return hidden_BTD, Cache(unstacked(state), _unordered(facts))


def look(
    network: Network,
    cache: Cache,
    tokens_BT: Int[Array, "B T"],
    facts: TokenFacts,
    slot: Slot,
    mask: Mask,
    *,
    noise_BT: Float[Array, "B T"] | None = None,
) -> tuple[Float[Array, "B T D"], Cache]:
    """Hidden states of tokens that see the cached ones and each other; later tokens will not see them."""
    known = commit(cache, facts, slot).facts
    sees_BTS = masks.materialize(mask, facts, known) & (known.valid == 1)[:, None]

    def mix(layer, q_BTHK, k_BTJK, v_BTJK, state):
        state = _write(state, _by_head(k_BTJK, v_BTJK), slot, axis=2)
        return _attend(sees_BTS, q_BTHK, *jnp.split(state, 2, axis=1)), state

    state = stacked(cache.layers)
    hidden_BTD, state = network.apply(network.params, tokens_BT, facts, mix, state=state, noise_BT=noise_BT)
    return hidden_BTD, dataclasses.replace(cache, layers=unstacked(state))


def commit(cache: Cache, facts: TokenFacts, slot: Slot, *, is_kept_BT: Bool[Array, "B T"] | None = None) -> Cache:
    """Makes the tokens last looked at visible to later ones; with `is_kept_BT`, those of them alone."""
    if is_kept_BT is not None:
        facts = dataclasses.replace(facts, valid=facts.valid * is_kept_BT)
    rows = cache.facts.shape[0]
    columns = jax.tree.map(
        lambda old, new: _write(old, _in_rows(new, rows), slot, axis=1), cache.facts, _unordered(facts)
    )
    return dataclasses.replace(cache, facts=columns)


def append(
    network: Network, cache: Cache, tokens_BT: Int[Array, "B T"], facts: TokenFacts, slot: Slot, mask: Mask
) -> tuple[Float[Array, "B T D"], Cache]:
    """Looks at tokens and makes them visible to later ones."""
    hidden_BTD, cache = look(network, cache, tokens_BT, facts, slot, mask)
    return hidden_BTD, commit(cache, facts, slot)


def _by_head(k_BTJK: Float[Array, "B T J K"], v_BTJK: Float[Array, "B T J K"]) -> Float[Array, "B _ T K"]:
    """Keys and values as a cache holds them."""
    return jnp.concatenate([k_BTJK, v_BTJK], axis=2).swapaxes(1, 2)


def _write(old: Array, new: Array, slot: Slot, axis: int) -> Array:
    new = new.astype(old.dtype)
    if jnp.ndim(slot) == 0:
        return lax.dynamic_update_slice_in_dim(old, new, slot, axis)
    return jax.vmap(lambda old, new, slot: lax.dynamic_update_slice_in_dim(old, new, slot, axis - 1))(old, new, slot)


def _attend(
    sees_BTS: Bool[Array, "B T S"],
    q_BTHK: Float[Array, "B T H K"],
    keys_BJSK: Float[Array, "B J S K"],
    values_BJSK: Float[Array, "B J S K"],
) -> Float[Array, "B T H K"]:
    """As `attention.dense`, for keys and values that lie head by head."""
    B, T, H, K = q_BTHK.shape
    q_BJRTK = q_BTHK.reshape(B, T, keys_BJSK.shape[1], -1, K).transpose(0, 2, 3, 1, 4)
    sees_BJRTS = sees_BTS[:, None, None]
    logits_BJRTS = jnp.where(sees_BJRTS, _scores(q_BJRTK, keys_BJSK) * K**-0.5, NEVER)
    p_BJRTS = jnp.where(sees_BJRTS, jax.nn.softmax(logits_BJRTS, axis=-1), 0).astype(values_BJSK.dtype)
    out_BJRTK = _weighted(p_BJRTS, values_BJSK).astype(values_BJSK.dtype)
    return out_BJRTK.transpose(0, 3, 1, 2, 4).reshape(B, T, H, K)


def _scores(q_BJRTK: Float[Array, "B J R T K"], keys_BJSK: Float[Array, "B J S K"]) -> Float[Array, "B J R T S"]:
    """In float32; those of a single query are a plain sum, which XLA joins with what stands around it in one kernel."""
    if q_BJRTK.shape[3] == 1:
        return jnp.sum(q_BJRTK[..., None, :].astype(jnp.float32) * keys_BJSK[:, :, None, None], axis=-1)
    return jnp.einsum("bjrtk,bjsk->bjrts", q_BJRTK, keys_BJSK, preferred_element_type=jnp.float32)


def _weighted(p_BJRTS: Float[Array, "B J R T S"], values_BJSK: Float[Array, "B J S K"]) -> Float[Array, "B J R T K"]:
    """The values' sum by weight, in float32; for a single query as `_scores`."""
    if p_BJRTS.shape[3] == 1:
        return jnp.sum(p_BJRTS[..., None].astype(jnp.float32) * values_BJSK[:, :, None, None], axis=-2)
    return jnp.einsum("bjrts,bjsk->bjrtk", p_BJRTS, values_BJSK, preferred_element_type=jnp.float32)


def _in_rows(column_BT: Int[Array, "_ T"], rows: int) -> Int[Array, "B T"]:
    return jnp.broadcast_to(column_BT, (rows, column_BT.shape[1]))


def _unordered(facts: TokenFacts) -> TokenFacts:
    """Slots promise no order."""
    return dataclasses.replace(facts, in_order=False)
