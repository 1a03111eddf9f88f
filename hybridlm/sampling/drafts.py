"""Drafts by the network's own diffusion side: the rest of a block in one pass, every token given the text so far alone.

The block is read as in training, written tokens clean and the others masked, in a noisy stream that sees the clean
blocks before it (set block decoding, arXiv:2509.04185; TiDAR, arXiv:2511.08923).
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Key

from hybridlm.config.sampling import Choice
from hybridlm.facts.tokens import concatenate
from hybridlm.masks import Mask
from hybridlm.sampling import cache as caches
from hybridlm.sampling.cache import Cache
from hybridlm.sampling.choose import draw, filtered
from hybridlm.sampling.network import Network
from hybridlm.sampling.prompts import facts_at
from hybridlm.sampling.speculative import Draft, State


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockDraft:
    """Attributes: block_size: of training. mask_id: of the mask token. mask: that of two streams. choice: of tokens."""

    block_size: int
    mask_id: int
    mask: Mask
    choice: Choice

    def __call__(self, network: Network, state: State, keys_B: Key[Array, "B"]) -> tuple[Draft, Cache]:
        """Drafts from the slot after the last token to the end of its block; the last token is not cached yet."""
        size, next_B = self.block_size, state.slot_B + 1
        written_B = (next_B - state.start_B) % size
        slot_BT = (next_B - written_B)[:, None] + jnp.arange(size)
        is_masked_BT = slot_BT >= next_B[:, None]
        block_BT = jax.vmap(lambda text_S, slot: lax.dynamic_slice_in_dim(text_S, slot, size))(
            state.text_BS, slot_BT[:, 0]
        )
        last_BT = jnp.take_along_axis(state.text_BS, state.slot_B[:, None], axis=1)
        read_BT = jnp.concatenate([last_BT, jnp.where(is_masked_BT, self.mask_id, block_BT)], axis=1)
        about = {"start_B": state.start_B, "prompt_slots": state.prompt_slots}
        block = facts_at(slot_BT, **about, block_size=size, stream=1)
        facts = concatenate([facts_at(state.slot_B[:, None], **about), block], axis=1)
        # the first token of a text is given, so it is none of those that could be masked
        share_B = is_masked_BT.sum(1) / (size - (slot_BT[:, 0] == state.start_B))
        noise_BT = jnp.pad(jnp.broadcast_to(share_B[:, None], slot_BT.shape), ((0, 0), (1, 0)))
        hidden_BTD, cache = caches.look(
            network, state.cache, read_BT, facts, state.slot_B, self.mask, noise_BT=noise_BT
        )
        # of the block's predictions, those of masked tokens come first, and what is left over is not meant
        place_BD = jnp.minimum(1 + written_B[:, None] + jnp.arange(size), size)
        logits_BDV = network.logits(jnp.take_along_axis(hidden_BTD, place_BD[..., None], axis=1))
        tokens_BD = jax.vmap(lambda key, logits_DV: draw(key, logits_DV, self.choice))(keys_B, logits_BDV)
        return Draft(tokens_BD, filtered(logits_BDV, self.choice), size - written_B), cache
