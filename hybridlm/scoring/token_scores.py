"""Everything a report says of a token, from its hidden state in one pass over the vocabulary, never holding [B, T, V].

Tokens are visited in chunks and, for each chunk, the vocabulary in blocks: chunk × block logits exist at a time, and
what they tell is joined to what the blocks before told. The identity nll = gate + within (the class was not expected,
or the wrong member was picked) holds for every family of static classes, to the last bit.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.facts.head import Head
from hybridlm.scoring import vocabulary
from hybridlm.scoring.chunks import Constrain, Split, anywhere, sweep
from hybridlm.scoring.layout import Layout, lay_out
from hybridlm.scoring.nll import at_hand
from hybridlm.scoring.vocabulary import Summary

CHUNK = 16_384
"""Tokens of a shard that are visited at a time."""
BLOCK = 8192
"""Vocabulary ids of a shard whose logits exist at a time, for every token of a chunk."""
METRICS = ("nll", "entropy", "brier", "confidence", "accuracy", "top-5 accuracy", "reciprocal rank")
"""What `metrics` gives of every token; all but the NLL and the entropy lie between 0 and 2."""


@no_type_check  # the sweep makes a tree of its shapes
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenScores:
    """Of every target; float32 unless said otherwise.

    Attributes:
      nll: -log p(target), in nats. entropy: -Σ p log p, in nats. brier: Σ_v (p_v - [v is the target])².
      top_id: the likeliest id, the lowest of equals (int32). confidence: its probability. is_correct: is it the target?
      margin: the target's logit minus the largest of the others.
      rank: 1 + how many ids are likelier than the target (int32). Ids whose logits equal the target's up to rounding do
        not count, so the target is the first among equals.
      gate: -log of the probability of the target's class, for every family.
      class_mass: the probability of every class.
    """

    nll: Float[Array, "*N"]
    entropy: Float[Array, "*N"]
    brier: Float[Array, "*N"]
    top_id: Int[Array, "*N"]
    confidence: Float[Array, "*N"]
    is_correct: Bool[Array, "*N"]
    margin: Float[Array, "*N"]
    rank: Int[Array, "*N"]
    gate: Float[Array, "*N F"]
    class_mass: Float[Array, "*N C"]

    @property
    def within(self) -> Float[Array, "*N F"]:
        """-log p(target | its class), for every family."""
        return self.nll[..., None] - self.gate

    def is_in_top(self, k: int = 5) -> Bool[Array, "*N"]:
        """Are fewer than k ids likelier than the target?"""
        return (self.rank > 0) & (self.rank <= k)


def token_scores(
    hidden: Float[Array, "*N D"],
    head: Head,
    targets: Int[Array, "*N"],
    needed: Bool[Array, "*N"] | None = None,
    *,
    layout: Layout | None = None,
    groups: int = 1,
    chunk: int = CHUNK,
    block: int = BLOCK,
    constrain: Constrain = anywhere,
) -> TokenScores:
    """Scores of tokens [N] or [B, T]; where they are not needed they are 0 and cost nothing.

    `chunk` tokens of each of `groups` shards of the batch are visited at a time, and about `block` ids of each shard
    of the vocabulary. `layout` says which classes there are and how the vocabulary is cut over devices. Products run in
    the dtype of `hidden`, to which the head is cast once, and those of float32 at the highest precision. The same
    `chunk` gives the same bytes on any number of data-parallel devices.
    """
    head = at_hand(head, hidden.dtype, constrain)
    layout = layout or lay_out(len(head.kernel_VD))

    def visit(carry, tokens):
        hidden_ZUD, targets_ZU = tokens
        logits = vocabulary.of_head(head, hidden_ZUD, targets_ZU, constrain)
        return carry, scores_of(vocabulary.summarise(logits, targets_ZU, layout, block), targets_ZU)

    return visit_tokens(visit, (hidden, targets), needed, Split(groups, chunk, constrain))


def metrics(scores: TokenScores) -> Float[Array, "K *N"]:
    """The values that are averaged over tokens, in the order of METRICS, for `sums.cluster_sums`."""
    top, reciprocal = scores.is_in_top(), jnp.where(scores.rank > 0, 1 / jnp.maximum(scores.rank, 1), 0)
    columns = (scores.nll, scores.entropy, scores.brier, scores.confidence, scores.is_correct, top, reciprocal)
    return jnp.stack([column.astype(jnp.float32) for column in columns])


def visit_tokens(visit: Callable, columns: Any, needed: Bool[Array, "*N"] | None, split: Split) -> TokenScores:
    """Sweeps tokens [N] or [B, T] in chunks, as `chunks.sweep` does; the last of the columns are the targets."""
    flat = columns[-1].ndim == 1
    if flat:
        columns, needed = jax.tree.map(lambda x: x[None], (columns, needed))
    with jax.default_matmul_precision("highest"):
        _, scores = sweep(visit, (), columns, needed, split)
    if needed is not None:
        scores = jax.tree.map(lambda x: jnp.where(_aligned(needed, x), x, jnp.zeros_like(x)), scores)
    return jax.tree.map(lambda x: x[0], scores) if flat else scores


def _aligned(x_BT, other):
    return x_BT.reshape(*x_BT.shape, *[1] * (other.ndim - x_BT.ndim))


def scores_of(summary: Summary, targets: Int[Array, "*N"]) -> TokenScores:
    """What the reductions over the whole vocabulary say."""
    seen = summary.seen
    log_mass = jnp.log(seen.mass)
    nll = log_mass + (seen.largest - seen.target_logit)
    is_correct = seen.best_id == targets
    gate = log_mass[..., None] - jnp.log(summary.own_mass) + (seen.largest[..., None] - summary.own_largest)
    # Of nll and the two parts the larger part is rounded first: then both differences are exact (Sterbenz).
    within = nll[..., None] - jnp.clip(gate, 0, nll[..., None])
    return TokenScores(
        nll=nll,
        entropy=log_mass - seen.weighted / seen.mass,
        brier=seen.squares / seen.mass**2 - 2 * jnp.exp(-nll) + 1,
        top_id=seen.best_id,
        confidence=1 / seen.mass,
        is_correct=is_correct,
        margin=jnp.where(is_correct, seen.largest - seen.second, seen.target_logit - seen.largest),
        rank=seen.better + 1,
        gate=nll[..., None] - within,
        class_mass=summary.class_mass / seen.mass[..., None],
    )
