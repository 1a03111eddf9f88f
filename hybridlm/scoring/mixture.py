"""Scores of a linear gate over experts, p = Σ_g gate_g p_g.

Its NLL needs the experts' NLLs alone, so one pass (`reductions.mixture_nll`). Its entropy, rank, margin and class
masses need p of every id, hence log Σ exp of every expert first and a second pass that streams all heads together.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.facts.head import Head
from hybridlm.scoring import vocabulary
from hybridlm.scoring.chunks import Constrain, Split, anywhere
from hybridlm.scoring.layout import Layout, lay_out
from hybridlm.scoring.nll import at_hand
from hybridlm.scoring.token_scores import BLOCK, CHUNK, TokenScores, scores_of, visit_tokens


def mixture_scores(
    hidden_G: Float[Array, "G *N D"],
    heads: Sequence[Head],
    targets: Int[Array, "*N"],
    log_gate_G: Float[Array, "G *N"],
    needed: Bool[Array, "*N"] | None = None,
    *,
    layout: Layout | None = None,
    groups: int = 1,
    chunk: int = CHUNK,
    block: int = BLOCK,
    constrain: Constrain = anywhere,
) -> TokenScores:
    """As `token_scores`, of experts with a head each; a likelihood if the gates sum to 1 and never saw the target.

    The margin is one of log-probabilities. The logits of a block exist for all experts at once.
    """
    heads = [at_hand(head, hidden_G.dtype, constrain) for head in heads]
    layout = layout or lay_out(len(heads[0].kernel_VD))

    def visit(carry, tokens):
        hidden_ZUGD, log_gate_ZUG, targets_ZU = tokens
        experts = [
            vocabulary.of_head(head, hidden_ZUGD[:, :, g], targets_ZU, constrain) for g, head in enumerate(heads)
        ]
        sums = [vocabulary.log_sum_exp(vocabulary.summarise(e, targets_ZU, layout, block).seen) for e in experts]
        mixed = vocabulary.of_mixture(experts, jnp.moveaxis(log_gate_ZUG, -1, 0) - jnp.stack(sums))
        return carry, scores_of(vocabulary.summarise(mixed, targets_ZU, layout, block), targets_ZU)

    columns = (jnp.moveaxis(hidden_G, 0, -2), jnp.moveaxis(log_gate_G, 0, -1), targets)
    return visit_tokens(visit, columns, needed, Split(groups, chunk, constrain))
