"""Sampling from two predictions: joined into one before a token is drawn, or one refining what the other wrote."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.combine.rules import normalised
from hybridlm.config.errors import require
from hybridlm.facts.tokens import TokenFacts
from hybridlm.sampling.canvas import Canvas, Predict, erase, without_mask, write
from hybridlm.sampling.denoise import Sampler, denoise
from hybridlm.sampling.noise import Keys

Join = Callable[..., Float[Array, "B T V"]]
"""join(logp_a_BTV, logp_b_BTV) -> logp_BTV, a distribution over the vocabulary that no token drawn has a part in."""


def joined(join: Join, first: Predict, second: Predict, mask_id: int) -> Predict:
    """One prediction of two: each is normalised over text alone, then they are joined.

    An autoregressive expert reads what is masked to the left of a token as it is. One token at a time from left to
    right, nothing is, and what is drawn follows the joined distribution exactly.
    """

    def predict(tokens_BT, facts, noise_BT):
        experts = (expert(tokens_BT, facts, noise_BT) for expert in (first, second))
        return join(*(normalised(without_mask(logits_BTV, mask_id)) for logits_BTV in experts))

    return predict


def judged(draft: Canvas, predict: Predict, facts: TokenFacts) -> Canvas:
    """A written text with the probability that a prediction, in one pass over it, gives each of its open tokens."""
    logits_BTV = without_mask(predict(draft.tokens_BT, facts, jnp.zeros(draft.tokens_BT.shape)), draft.mask_id)
    return write(draft, draft.is_open_BT, draft.tokens_BT, logits_BTV)


def refine(
    sampler: Sampler,
    predict: Predict,
    draft: Canvas,
    facts: TokenFacts,
    keys_B: Keys,
    *,
    below: float,
) -> tuple[Canvas, Float[Array, "B"]]:
    """Writes anew the tokens whose confidence is below a bound, seeing all others; and the share of them in each row.

    Where all are sure, the second network is never asked. What comes out has no density (`scoring` cannot score it).
    """
    require(
        0 <= below <= 1,
        f"tokens are refined below a confidence between 0, none, and 1, nearly all; below={below}.",
    )
    is_refined_BT = draft.is_open_BT & (draft.confidence_BT < below)
    fraction_B = is_refined_BT.sum(1) / jnp.maximum(draft.is_open_BT.sum(1), 1)
    refined = dataclasses.replace(erase(draft, is_refined_BT), is_open_BT=is_refined_BT)
    refined, _ = denoise(sampler, predict, refined, facts, keys_B)
    return dataclasses.replace(refined, is_open_BT=draft.is_open_BT), fraction_B
