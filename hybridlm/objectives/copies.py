"""Versions of one text that differ in which tokens are masked: several beside one clean stream, or row by row.

Where documents are cut into blocks, K noisy copies share a clean stream, since a noisy token sees its own copy of its
own block and the clean blocks before it (width (1 + K) T); where a document is seen whole, each version is a row.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.config.objective import Objective
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.facts.tokens import TokenFacts, from_columns
from hybridlm.objectives import layouts
from hybridlm.objectives.text import Ids, Text

WIDTH = 2048
"""Tokens of a row with its copies in one pass, unless a reading says how many, or the row alone is longer."""
BESIDE = 3
"""Copies beside a clean stream at most, unless a reading says how many: dense attention grows with their square."""


@dataclasses.dataclass(frozen=True)
class Versions:
    """`of` gives the tokens that are masked in version 0 <= k < `count`, and what the NLL of each weighs; one past the
    last predicts nothing."""

    count: int
    of: Callable[[Int[Array, ""]], tuple[Bool[Array, "B T"], Float[Array, "B T"]]]


def group(objective: Objective, text: Text) -> Int[Array, "B T"]:
    """The block of every token, or its document where that is seen whole; ids lie in [0, T) and rise along a row."""
    return layouts.blocks(objective, text, jnp.zeros_like(text.tokens_BT))


def group_size(objective: Objective, length: int) -> int:
    """How many tokens a group has at most."""
    return objective.block_size or length


def chain(objective: Objective, text: Text) -> Versions:
    """Version k shows the first k tokens of every group, and predicts the next one."""
    place_BT, is_target_BT = _place(objective, text), text.is_target_BT

    def of(k):
        return is_target_BT & (place_BT >= k), (is_target_BT & (place_BT == k)).astype(jnp.float32)

    return Versions(group_size(objective, text.tokens_BT.shape[1]), of)


def leave_one_out(objective: Objective, text: Text, goes_on_BT: Bool[Array, "B T"]) -> Versions:
    """Version k predicts token k of every group from all others, less the rest of its own word to the right.

    `goes_on_BT`: does the token go on with the word of the token before it? What follows inside a word gives its
    beginning away (Kauf and Ivanova 2023, 2305.10588, "within-word left-to-right").
    """
    place_BT, is_target_BT = _place(objective, text), text.is_target_BT
    index_BT = jnp.broadcast_to(jnp.arange(place_BT.shape[1]), place_BT.shape)
    word_BT = jax.lax.cummax(jnp.where(goes_on_BT & (place_BT > 0), 0, index_BT), axis=1)
    word_place_BT = place_BT - (index_BT - word_BT)

    def of(k):
        is_masked_BT = is_target_BT & (place_BT >= k) & (word_place_BT <= k)
        return is_masked_BT, (is_target_BT & (place_BT == k)).astype(jnp.float32)

    return Versions(group_size(objective, text.tokens_BT.shape[1]), of)


def subsets(objective: Objective, text: Text) -> Versions:
    """Version k masks the targets among the places whose bits k + 1 has, in every block, and predicts them all."""
    bit_BT = _bit(objective, text)

    def of(k):
        is_masked_BT = (bit_BT & (k + 1)) > 0
        return is_masked_BT, is_masked_BT.astype(jnp.float32)

    return Versions(2**objective.block_size - 1, of)


def targets_of_block(objective: Objective, text: Text) -> Int[Array, "B T"]:
    """The places that hold targets as bits, the same throughout a block."""
    return per_group(_bit(objective, text), group(objective, text))


def _bit(objective: Objective, text: Text) -> Int[Array, "B T"]:
    return jnp.where(text.is_target_BT, 1 << _place(objective, text), 0)


def per_pass(objective: Objective, asked: int, count: int, length: int) -> int:
    """Versions of a row that share a pass: as many as asked for, or as fill it, spread evenly over the passes."""
    fit = min(WIDTH // length - 1, BESIDE) if objective.layout == "blocks" else WIDTH // length
    passes = -(-count // min(asked or max(fit, 1), count))
    return -(-count // passes)


def build(
    objective: Objective,
    text: Text,
    ids: Ids,
    is_masked_KBT: Bool[Array, "K B T"],
    weight_KBT: Float[Array, "K B T"],
) -> LossInputs:
    """The inputs that predict the tokens of every version whose NLL weighs anything; `target_index` repeats.

    Versions of one row of the text lie side by side, along the row where they share a clean stream, else row after row.
    """
    weighs_KBT = weight_KBT != 0
    index_BT = jnp.arange(text.tokens_BT.size, dtype=jnp.int32).reshape(text.tokens_BT.shape)
    beside_clean = objective.layout == "blocks"
    arrange = _beside_clean if beside_clean else _row_by_row
    # no target stands first in a row, so that none is moved around its end
    step = -1 if objective.predicts == "next" else 0
    targets_KBT, index_KBT, weight_KBT = (
        jnp.roll(x_KBT, step, axis=-1)
        for x_KBT in (jnp.where(weighs_KBT, text.tokens_BT, 0), jnp.where(weighs_KBT, index_BT, -1), weight_KBT)
    )
    score_weight_BT = arrange(weight_KBT, jnp.zeros_like(weight_KBT[0]))
    return LossInputs(
        inputs_BT=arrange(jnp.where(is_masked_KBT, ids.mask, text.tokens_BT), text.tokens_BT),
        facts=_facts(objective, text, len(weight_KBT), arrange),
        targets_BT=arrange(targets_KBT, jnp.zeros_like(text.tokens_BT)),
        target_index_BT=arrange(index_KBT, jnp.full_like(index_BT, -1)),
        train_weight_BT=jnp.zeros_like(score_weight_BT),
        score_weight_BT=score_weight_BT,
        noise_BT=arrange(_noise(objective, text, is_masked_KBT), jnp.zeros_like(weight_KBT[0])),
        part_BX=jnp.zeros((len(score_weight_BT), 1), jnp.int32),
        mask=layouts.mask(_with_clean(objective) if beside_clean else objective),
        parts=(),
        dense=False,
    )


def of_copies(values_BT: Float[Array, "B _"], length: int) -> Float[Array, "K B T"]:
    """Values beside one clean stream, by copy."""
    return jnp.moveaxis(values_BT.reshape(len(values_BT), -1, length), 1, 0)[1:]


def per_group(value_BT: Int[Array, "B T"], group_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """The sum over each token's group."""
    return jax.vmap(lambda value_T, group_T: jax.ops.segment_sum(value_T, group_T, group_T.size)[group_T])(
        value_BT, group_BT
    )


def _with_clean(objective: Objective) -> Objective:
    """An objective of blocks as one that has a clean stream."""
    return dataclasses.replace(objective, streams=2, corruption="absorbing")


def _place(objective: Objective, text: Text) -> Int[Array, "B T"]:
    """Where in its group a token stands."""
    return text.position_BT % group_size(objective, text.tokens_BT.shape[1])


def _noise(objective: Objective, text: Text, is_masked_KBT) -> Float[Array, "K B T"]:
    """The share of its group that is masked, or that training masks where this is always the same."""
    if objective.corruption == "masked_lm":
        return jnp.full(is_masked_KBT.shape, objective.rate, jnp.float32)
    group_BT = group(objective, text)
    masked_KBT = jax.vmap(per_group, (0, None))(is_masked_KBT.astype(jnp.int32), group_BT)
    return masked_KBT / jnp.maximum(per_group(text.is_target_BT.astype(jnp.int32), group_BT), 1)


def _facts(objective: Objective, text: Text, count: int, arrange: Callable) -> TokenFacts:
    extra = {**text.columns, "prefix_length": jnp.zeros_like(text.tokens_BT)}
    facts = from_columns(text.segment_BT, text.position_BT, block_BT=group(objective, text), extra=extra)
    many = jax.tree.map(lambda x_BT: arrange(jnp.broadcast_to(x_BT, (count, *x_BT.shape)), x_BT), facts)
    if arrange is _row_by_row:
        return many
    number_K11 = jnp.arange(1, count + 1, dtype=jnp.int32)[:, None, None]
    stream_BT = arrange(jnp.broadcast_to(number_K11, (count, *facts.shape)), facts.stream)
    clean_BT = layouts.clean_blocks(objective, text, facts.block)
    block_BT = arrange(jnp.broadcast_to(facts.block, (count, *facts.shape)), clean_BT)
    return dataclasses.replace(many, stream=stream_BT, block=block_BT, in_order=False)


def _beside_clean(noisy_KBT: Array, clean_BT: Array) -> Array:
    return jnp.concatenate([clean_BT, *noisy_KBT], axis=1)


def _row_by_row(noisy_KBT: Array, clean_BT: Array) -> Array:
    return jnp.moveaxis(noisy_KBT, 0, 1).reshape(-1, clean_BT.shape[1])
