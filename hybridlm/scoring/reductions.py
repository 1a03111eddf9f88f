"""The general path from hidden states to losses: a few numbers per token, each a reduction over the vocabulary.

log Σ_v exp z_v, the logits of the target and of the input token, and Σ_v f(p_v) are enough for likelihoods, for
mixtures of experts and for the bounds of uniform-state diffusion. Their gradients, per token, recompute the logits.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hybridlm.facts.head import Head, logits


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Reductions:
    """Float32, one number per token each; what was not asked for is None."""

    log_sum_exp: Float[Array, "*N"]
    target_logit: Float[Array, "*N"]
    input_logit: Float[Array, "*N"] | None
    sum_f: Float[Array, "*N"] | None


def vocabulary_reductions(
    hidden: Float[Array, "*N D"],
    head: Head,
    targets: Int[Array, "..."],
    inputs: Int[Array, "..."] | None = None,
    f: Callable[..., Array] | None = None,
    f_arguments: tuple[Array, ...] = (),
    *,
    chunk: int,
) -> Reductions:
    """Reductions of every token's logits, about `chunk` tokens at a time (at least one column of the leading axes).

    Ids and `f_arguments` broadcast to the tokens, so that several experts [G, B, T, D] share targets [B, T].
    `f(p, *arguments)` works elementwise on probabilities [..., V] and arguments [..., 1]; ids that are never predicted
    are left out of its sum.
    """
    tokens = hidden.shape[:-1]
    columns = max(1, chunk // max(1, math.prod(tokens[:-1])))
    per_token = jax.tree.map(lambda x: jnp.broadcast_to(x, tokens), (targets, inputs, f_arguments))
    # The last token axis is chunked, so that leading axes stay spread over devices.
    by_column = jax.tree.map(lambda x: jnp.moveaxis(x, len(tokens) - 1, 0), (hidden, *per_token))

    @jax.checkpoint
    def column(arrays):
        hidden, targets, inputs, f_arguments = arrays
        return reductions_at_once(hidden, head, targets, inputs, f, f_arguments)

    reduced = jax.lax.map(column, by_column, batch_size=columns)
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), reduced)


def nll(reductions: Reductions) -> Float[Array, "*N"]:
    """-log p of the target, in nats."""
    return reductions.log_sum_exp - reductions.target_logit


def mixture_nll(nll_G: Float[Array, "G *N"], log_gate_G: Float[Array, "G *N"]) -> Float[Array, "*N"]:
    """-log Σ_g gate_g p_g(target), given -log p_g: a likelihood if the gates sum to 1 and never saw the target."""
    return -jax.nn.logsumexp(log_gate_G - nll_G, axis=0)


def reductions_at_once(
    hidden: Float[Array, "*N D"],
    head: Head,
    targets: Int[Array, "*N"],
    inputs: Int[Array, "*N"] | None = None,
    f: Callable[..., Array] | None = None,
    f_arguments: tuple[Array, ...] = (),
) -> Reductions:
    """The same for so few tokens that all their logits may exist."""
    logits_V = logits(head, hidden)
    log_sum_exp = jax.nn.logsumexp(logits_V, axis=-1)
    return Reductions(
        log_sum_exp=log_sum_exp,
        target_logit=pick(logits_V, targets),
        input_logit=None if inputs is None else pick(logits_V, inputs),
        sum_f=None if f is None else _sum_f(f, jnp.exp(logits_V - log_sum_exp[..., None]), head, f_arguments),
    )


def pick(logits_V: Float[Array, "*N V"], ids: Int[Array, "*N"]) -> Float[Array, "*N"]:
    """The logit of one id per token; a comparison, not a gather, so that V may be cut over devices."""
    is_id_V = jnp.arange(logits_V.shape[-1]) == ids[..., None]
    return jnp.sum(jnp.where(is_id_V, logits_V, 0), axis=-1)


def _sum_f(f, p_V, head, arguments):
    is_never_V = jnp.zeros(p_V.shape[-1], bool) if head.never_V is None else head.never_V
    # f sees a harmless number in place of an impossible id, or its gradient there could turn the sum's into NaN.
    terms_V = f(jnp.where(is_never_V, 1, p_V), *(x[..., None] for x in arguments))
    return jnp.where(is_never_V, 0, terms_V).sum(-1)
