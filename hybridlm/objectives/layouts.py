"""Who sees whom, as block ids: a clean token sees its own block whole and every earlier block of its document.

    causal         every token its own block
    prefix         the first n tokens one block, each later token its own
    bidirectional  the document one block
    blocks         every `block_size` tokens of a document one block
    random_order   every token its own block, in the order in which tokens were arranged

A noisy token, where there is a second stream of them, sees its own noisy block and the clean blocks before it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from hybridlm import masks
from hybridlm.config.objective import Objective
from hybridlm.diffusion.levels import even_times, numbers
from hybridlm.facts.tokens import along_row
from hybridlm.masks import Mask
from hybridlm.objectives.text import Text


def prefix_lengths(objective: Objective, text: Text, key: Key[Array, ""]) -> Int[Array, "B T"]:
    """How long the prefix of each token's document is: a share drawn evenly between the bounds, 0 for other layouts."""
    if objective.layout != "prefix":
        return jnp.zeros_like(text.tokens_BT)
    low, high = objective.prefix
    level_BT = 1 - even_times(key, numbers(text.start_BT, text.segment_BT > 0))
    return jnp.floor((low + (high - low) * level_BT) * document_lengths(text)).astype(jnp.int32)


def document_lengths(text: Text) -> Int[Array, "B T"]:
    """How many tokens each token's document has in its row."""

    def count(segment_T):
        return jax.ops.segment_sum(jnp.ones_like(segment_T), segment_T, segment_T.size + 1)[segment_T]

    return jax.vmap(count)(text.segment_BT)


def blocks(objective: Objective, text: Text, prefix_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Block id of every token; ids run on along the row, so that they also order the blocks of packed documents."""
    match objective.layout:
        case "causal" | "prefix":
            return text.start_BT + jnp.maximum(0, text.position_BT - jnp.maximum(0, prefix_BT - 1))
        case "bidirectional":
            return text.start_BT
        case "random_order":
            return along_row(text.tokens_BT.shape)
    if objective.clean_causal:
        return along_row(text.tokens_BT.shape) - text.position_BT % objective.block_size
    opens_BT = (text.position_BT % objective.block_size == 0).astype(jnp.int32)
    return jnp.cumsum(opens_BT, axis=1, dtype=jnp.int32) - 1


def clean_blocks(objective: Objective, text: Text, block_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Block ids of the clean stream beside noisy blocks: the same, or in a causal one each token its own.

    Ids of noisy blocks are then the place of their first token, so that they see exactly the clean tokens before it.
    """
    return along_row(text.tokens_BT.shape) if objective.clean_causal else block_BT


def mask(objective: Objective) -> Mask:
    """The named mask of a layout, which a mixture replaces by the equivalent `masks.unified()`."""
    shows = {
        "causal": masks.causal(),
        "prefix": masks.causal() | masks.prefix(),
        "bidirectional": masks.bidirectional(),
        "blocks": masks.block_diffusion() if objective.streams == 2 else masks.block_causal(),
        "random_order": masks.block_diffusion(),
    }
    shown = shows[objective.layout]
    if not objective.across_documents:
        shown = shown & masks.same_segment() & masks.valid()
    return shown & masks.window(*objective.window) if objective.window else shown
