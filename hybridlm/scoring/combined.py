"""Scores of two predictions of a token combined into one, from hidden states: whole rows of logits, a chunk at a time.

A gate reads the entropy of both predictions, so it needs whole distributions before anything can be mixed. Hence the
logits of a chunk exist for both experts at once, and never [B, T, V]; of what is combined, all is told that
`token_scores` tells of one prediction.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.combine.combined import Combined, check_vocabularies
from hybridlm.combine.rules import normalised
from hybridlm.facts.head import NEVER, Head, logits
from hybridlm.scoring import vocabulary
from hybridlm.scoring.chunks import Constrain, Split, anywhere
from hybridlm.scoring.layout import Layout, lay_out
from hybridlm.scoring.nll import at_hand
from hybridlm.scoring.reductions import pick
from hybridlm.scoring.token_scores import TokenScores, scores_of, visit_tokens
from hybridlm.scoring.vocabulary import Logits

CHUNK = 1024
"""Tokens of a shard whose logits over the whole vocabulary exist at once, for both experts."""
BLOCK = 8192
"""Vocabulary ids that are reduced at a time."""

Combine = Callable[[Float[Array, "*N V"], Float[Array, "*N V"]], Combined]
"""combine(logp_a, logp_b) -> `Combined`; `functools.partial(combined, combination, frequencies=...)` is one."""


@no_type_check  # the sweep makes a tree of its shapes
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class CombinedScores(TokenScores):
    """As `TokenScores`, of the combined prediction; the margin is one of log-probabilities.

    Attributes:
      share: of the first expert in the combination. expert_nll: -log p(target) of each expert alone, in nats.
      features: what the gate could read, in the order of `config.combination.FEATURES`.
    """

    share: Float[Array, "*N"]
    expert_nll: Float[Array, "*N G"]
    features: Float[Array, "*N F"]


def combined_scores(
    hidden: Sequence[Float[Array, "*N _"]],
    heads: Sequence[Head],
    targets: Int[Array, "*N"],
    combine: Combine,
    needed: Bool[Array, "*N"] | None = None,
    *,
    layout: Layout | None = None,
    groups: int = 1,
    chunk: int = CHUNK,
    constrain: Constrain = anywhere,
) -> CombinedScores:
    """Scores of tokens [N] or [B, T] that two experts, of a head each, predict; where they are not needed they are 0.

    A head may be given twice, and widths may differ. The rest is as in `token_scores`.
    """
    check_vocabularies(("a", "b"), [len(head.kernel_VD) for head in heads])
    heads = [at_hand(head, states.dtype, constrain) for head, states in zip(heads, hidden, strict=True)]
    layout = layout or lay_out(len(heads[0].kernel_VD))

    def visit(carry, tokens):
        *hidden_ZUD, targets_ZU = tokens
        experts = [
            normalised(constrain(logits(head, states), ("batch", None, "vocab")))
            for head, states in zip(heads, hidden_ZUD, strict=True)
        ]
        return carry, _scores(experts, combine(*experts), targets_ZU, layout)

    return visit_tokens(visit, (*hidden, targets), needed, Split(groups, chunk, constrain))


def combined_nll(
    hidden: Sequence[Float[Array, "N _"]],
    heads: Sequence[Head],
    targets_N: Int[Array, "N"],
    combine: Combine,
    *,
    chunk: int = CHUNK,
) -> Float[Array, "N"]:
    """-log p(target) of the combined prediction, in nats; differentiable in whatever `combine` was made of."""
    heads = [at_hand(head, states.dtype, anywhere) for head, states in zip(heads, hidden, strict=True)]

    @jax.checkpoint
    def one(token):
        *hidden_D, target = token
        experts = (normalised(logits(head, states)) for head, states in zip(heads, hidden_D, strict=True))
        return -pick(combine(*experts).logp_NV, target)

    with jax.default_matmul_precision("highest"):
        return jax.lax.map(one, (*hidden, targets_N), batch_size=chunk)


def _scores(experts, found: Combined, targets, layout: Layout) -> CombinedScores:
    def block(ids_SRJ):
        return found.logp_NV.at[..., ids_SRJ].get(mode="fill", fill_value=NEVER)

    seen = vocabulary.summarise(Logits(block, pick(found.logp_NV, targets)), targets, layout, BLOCK)
    return CombinedScores(
        **vars(scores_of(seen, targets)),
        share=found.share_N,
        expert_nll=jnp.stack([-pick(expert, targets) for expert in experts], axis=-1),
        features=found.context.features,
    )
