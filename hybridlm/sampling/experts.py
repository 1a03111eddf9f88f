"""Experts that predict the next token of a text from its left context alone, each with an exact cache of its own.

An expert may be asked late: it first reads what was written since it was last asked. So a combination may leave it out
for as long as it likes, and what it says is what it would have said.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask
from hybridlm.sampling import cache as caches
from hybridlm.sampling.blocks import NOISY, Sizes
from hybridlm.sampling.cache import Cache
from hybridlm.sampling.network import Network
from hybridlm.sampling.prompts import facts_at


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Text:
    """Rows that end together.

    Attributes:
      tokens_BS: the token in each slot. slot: of the last one. start_B: of each row's first one.
      prompt_slots: how many slots prompts took.
    """

    tokens_BS: Int[Array, "B S"]
    slot: Int[Array, ""]
    start_B: Int[Array, "B"]
    prompt_slots: Int[Array, ""]

    def facts(self, slot_BT: Int[Array, "#B T"], **of_blocks: int) -> TokenFacts:
        """Facts of the tokens in these slots."""
        return facts_at(slot_BT, self.start_B, prompt_slots=self.prompt_slots, **of_blocks)

    def at(self, slot_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
        """The tokens in these slots."""
        return jnp.take_along_axis(self.tokens_BS, slot_BT, axis=1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Memory:
    """Attributes: cache: of what is read. read_B: the first slot of each row that is not."""

    cache: Cache
    read_B: Int[Array, "B"]


@dataclasses.dataclass(frozen=True)
class NextToken:
    """Reads token after token. Attributes: mask: what a token sees."""

    mask: Mask
    room = 0
    """Slots that are looked at behind the last token."""

    def start(self, network: Network, prompts: Text, slots: int) -> Memory:
        """Of prompts, whose last token is read again when the expert is asked."""
        _, cache = caches.prefill(network, prompts.tokens_BS, _facts(prompts), slots, self.mask)
        return Memory(cache, jnp.full_like(prompts.start_B, prompts.slot))

    def ask(self, network: Network, memory: Memory, text: Text) -> tuple[Float[Array, "B V"], Memory]:
        """Logits of the token after the last one."""

        def read(slot, cache):
            slot_BT = jnp.full_like(text.start_B, slot)[:, None]
            return caches.append(network, cache, text.at(slot_BT), text.facts(slot_BT[:1]), slot, self.mask)

        cache = lax.fori_loop(memory.read_B[0], text.slot, lambda slot, cache: read(slot, cache)[1], memory.cache)
        hidden_BTD, cache = read(text.slot, cache)
        return network.logits(hidden_BTD[:, 0]), Memory(cache, jnp.full_like(memory.read_B, text.slot + 1))


@dataclasses.dataclass(frozen=True)
class BlockChain:
    """Reveals the tokens of a block from left to right: those to come are masked, those written are clean.

    Attributes: sizes: of blocks. mask: that of two streams. mask_id: of the mask token.
    """

    sizes: Sizes
    mask: Mask
    mask_id: int

    @property
    def room(self) -> int:
        """Slots that are looked at behind the last token."""
        return self.sizes.noisy

    def start(self, network: Network, prompts: Text, slots: int) -> Memory:
        """Of prompts, whose last block is read again when it is whole."""
        facts = _facts(prompts, block_size=self.sizes.clean)
        _, cache = caches.prefill(network, prompts.tokens_BS, facts, slots, self.mask)
        return Memory(cache, self._own(prompts))

    def ask(self, network: Network, memory: Memory, text: Text) -> tuple[Float[Array, "B V"], Memory]:
        """Logits of the token after the last one, which stands in a block of its own where the last one ended one."""
        own_B, next_slot, size = self._own(text), text.slot + 1, self.sizes.noisy
        memory = lax.while_loop(
            lambda memory: (memory.read_B < own_B).any(), lambda memory: self._read(network, memory, text), memory
        )
        slot_BT = own_B[:, None] + jnp.arange(size)
        is_masked_BT = slot_BT >= next_slot
        tokens_BT = jnp.where(is_masked_BT, self.mask_id, text.at(slot_BT))
        # the first token of a text is given, so it is none of those that could be masked
        share_B = is_masked_BT.sum(1) / (size - (own_B == text.start_B))
        noise_BT = jnp.broadcast_to(share_B[:, None], slot_BT.shape)
        facts = text.facts(slot_BT, block_size=size, stream=NOISY)
        hidden_BTD, cache = caches.look(network, memory.cache, tokens_BT, facts, own_B, self.mask, noise_BT=noise_BT)
        place_BT = (next_slot - own_B)[:, None, None]
        hidden_BD = jnp.take_along_axis(hidden_BTD, place_BT, axis=1)[:, 0]
        return network.logits(hidden_BD), dataclasses.replace(memory, cache=cache)

    def _own(self, text: Text) -> Int[Array, "B"]:
        """Where the block of each row's next token begins."""
        next_slot = text.slot + 1
        return next_slot - (next_slot - text.start_B) % self.sizes.noisy

    def _read(self, network: Network, memory: Memory, text: Text) -> Memory:
        """One more whole block, in rows that have one."""
        own_B, first_B = self._own(text), memory.read_B
        slot_BT = first_B[:, None] + jnp.arange(self.sizes.noisy)
        facts = text.facts(slot_BT, block_size=self.sizes.clean)
        _, cache = caches.look(network, memory.cache, text.at(slot_BT), facts, first_B, self.mask)
        is_kept_BT = jnp.broadcast_to((first_B < own_B)[:, None], slot_BT.shape)
        cache = caches.commit(cache, facts, first_B, is_kept_BT=is_kept_BT)
        return Memory(cache, jnp.minimum(first_B + self.sizes.noisy, own_B))


Expert = NextToken | BlockChain


def _facts(prompts: Text, **of_blocks: int) -> TokenFacts:
    """Of all slots of prompts."""
    return prompts.facts(jnp.arange(prompts.tokens_BS.shape[1])[None], **of_blocks)
