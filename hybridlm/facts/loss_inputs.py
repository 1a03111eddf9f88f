"""What an objective asks of a network for one batch. Training and scoring read the same record."""

import dataclasses
from collections.abc import Callable, Hashable

import jax
from jaxtyping import Array, Float, Int

from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.tokens import TokenFacts


@dataclasses.dataclass(frozen=True)
class Part:
    """One objective of a mixture: its name, what its per-token values mean, and what a prediction may see."""

    name: str
    kind: ScoreKind
    sees: str


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossInputs:
    """Inputs, visibility, targets and weights of one batch; rows may belong to different objectives.

    A target is stored at the position that predicts it, so next-token and same-position prediction differ only in
    where the target sits. The training loss is sum(train_weight * nll): normalisation is already in the weight. All
    arrays, those of the facts too, have B rows.

    Attributes:
      inputs_BT: token ids the network reads.
      facts: facts of the input tokens.
      targets_BT: vocabulary id to predict at this position; 0 where there is none.
      target_index_BT: which token of the batch's text the target is, as row * T + column of `batch["tokens"]`; -1 where
        there is none. A token counts in every category average exactly where this is >= 0, also when it happens to be
        unmasked in this draw and costs nothing. It may repeat, when several positions predict one token.
      train_weight_BT: weight in the training loss.
      score_weight_BT: weight of the token's NLL in its score: 1 for autoregression, -alpha'/(1-alpha) or L/l for a
        bound.
      noise_BT: share of tokens that the corruption of this input replaces, 1 - alpha(t); 0 for clean text.
      part_BX: which of `parts` each of X equal stretches of a row belongs to; X is 1, or 2 for the clean and the noisy
        stream, or for two rows of text side by side.
      mask: who may attend to whom (a `masks.Mask`; static).
      parts: the objectives present (static).
      loss: in place of the NLL, a loss(reductions, inputs) per token of `scoring.reductions.Reductions`; hashable
        (static). If it has a function f(p, noise), its sum over the vocabulary is `reductions.sum_f`.
      dense: True if nearly every position has a target, so that gathering targets first would not pay (static).
      first_target: positions before this one have no target in any row (static).
    """

    inputs_BT: Int[Array, "B T"]
    facts: TokenFacts
    targets_BT: Int[Array, "B T"]
    target_index_BT: Int[Array, "B T"]
    train_weight_BT: Float[Array, "B T"]
    score_weight_BT: Float[Array, "B T"]
    noise_BT: Float[Array, "B T"]
    part_BX: Int[Array, "B X"]
    mask: Hashable = dataclasses.field(metadata={"static": True})
    parts: tuple[Part, ...] = dataclasses.field(metadata={"static": True})
    loss: Callable | None = dataclasses.field(default=None, metadata={"static": True})
    dense: bool = dataclasses.field(default=True, metadata={"static": True})
    first_target: int = dataclasses.field(default=0, metadata={"static": True})
