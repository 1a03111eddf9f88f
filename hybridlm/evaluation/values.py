"""What a reading says of the tokens of a batch: nats, their error, and more where one prediction stands behind each."""

import dataclasses
from typing import no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hybridlm.scoring.token_scores import TokenScores, metrics

SUMMED = ("entropy", "brier", "confidence", "accuracy", "top_5", "reciprocal_rank", "share")
DETAILS = (*SUMMED, "rank", "margin", "likeliest")
"""What one prediction says of a token beside its NLL, first what has a mean. The share is that of the first expert of a
combination, else 1; the likeliest is an id."""


@no_type_check  # trees of its shapes and shardings exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Values:
    """What one reading says of the tokens of a batch of text.

    Attributes:
      nats_BT: mean over the samples, and error_BT its standard error. is_counted_BT: which tokens it scores.
      total: nats of the sequences, as the estimator itself adds them up; tokens differ from it by rounding alone.
      samples_KC: sums by label of every sample; none where the reading is exact.
      details_KBT: the values named in DETAILS. gate_FBT: -log of the probability of the target's class, for every
        family that reads the token alone, and mass_KBT: the probability of every such class. Only readings behind whose
        values one prediction stands have them.
    """

    nats_BT: Float[Array, "B T"]
    error_BT: Float[Array, "B T"]
    is_counted_BT: Bool[Array, "B T"]
    total: Float[Array, ""]
    samples_KC: Float[Array, "_ C"]
    details_KBT: Float[Array, "_ B T"]
    gate_FBT: Float[Array, "_ B T"]
    mass_KBT: Float[Array, "_ B T"]


def of_scores(scores: TokenScores, is_counted_BT: Bool[Array, "B T"]) -> Values:
    """The values of a reading from the scores of its tokens."""
    share = getattr(scores, "share", jnp.ones_like(scores.nll))
    whole = (scores.rank.astype(jnp.float32), scores.margin, scores.top_id.astype(jnp.float32))
    details = jnp.stack([*metrics(scores)[1:], share, *whole])
    return made(
        scores.nll,
        is_counted_BT,
        details_KBT=details,
        gate_FBT=jnp.moveaxis(scores.gate, -1, 0),
        mass_KBT=jnp.moveaxis(scores.class_mass, -1, 0),
    )


def made(nats_BT, is_counted_BT, **more) -> Values:
    """Of a reading; what is not given is nothing, and its total that of its tokens."""
    nothing_KBT = jnp.zeros((0, *nats_BT.shape))
    empty = {
        "error_BT": jnp.zeros_like(nats_BT),
        "total": jnp.where(is_counted_BT, nats_BT, 0).sum(),
        "samples_KC": jnp.zeros((0, 0)),
        "details_KBT": nothing_KBT,
        "gate_FBT": nothing_KBT,
        "mass_KBT": nothing_KBT,
    }
    return Values(nats_BT=nats_BT, is_counted_BT=is_counted_BT, **(empty | more))
