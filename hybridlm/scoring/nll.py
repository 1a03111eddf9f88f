"""The fast path: hidden states to one NLL per token, and the gradient of their weighted sum in the same sweep.

For constant weights, d(Σ w·nll)/d logits = w (softmax − onehot) is known while a chunk's logits are in memory. So one
sweep over chunks of tokens makes both, the backward pass only scales, and no array of tokens × V outlives its chunk.
On a Hopper GPU a chunk's logits are never in memory at all, only the odds of every id against the target.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.facts import devices
from hybridlm.facts.head import Head, logits
from hybridlm.scoring import odds
from hybridlm.scoring.chunks import Constrain, Split, anywhere, at_once, sweep
from hybridlm.scoring.reductions import pick


def weighted_nll(
    hidden_BTD: Float[Array, "B T D"],
    head: Head,
    targets_BT: Int[Array, "B T"],
    weight_BT: Float[Array, "B T"],
    *,
    groups: int = 1,
    chunk: int,
    dense: bool,
    constrain: Constrain = anywhere,
) -> tuple[Float[Array, ""], Float[Array, "B T"]]:
    """Σ weight·nll, differentiable in hidden and head, and every token's nll in nats; both float32.

    The nll is a constant to autodiff, and 0 where the weight is 0. Unless `dense`, tokens of weight 0 cost nothing: the
    others are gathered first. At most, logits of `chunk` tokens of each of `groups` shards of the batch exist at once.
    """
    static = (Split(groups, chunk, constrain), dense, head.softcap)
    return _weighted(static, (hidden_BTD, head.kernel_VD, head.bias_V), (head.never_V, targets_BT, weight_BT))


def explain(
    ids: int,
    width: int,
    softcap: float | None,
    dtype: Any,
    tokens: int,
    *,
    groups: int = 1,
    chunk: int,
    dense: bool,
    constrain: Constrain = anywhere,
) -> str:
    """What of the head of so many ids `weighted_nll` has in memory for so many tokens, and why."""
    size = at_once(chunk, tokens // groups, dense=dense)
    obstacle = odds.obstacle(ids, width, softcap, dtype, size, groups, constrain)
    return odds.explain(size, obstacle)


def token_nll(
    hidden_BTD: Float[Array, "B T D"],
    head: Head,
    targets_BT: Int[Array, "B T"],
    needed_BT: Bool[Array, "B T"] | None = None,
    *,
    groups: int = 1,
    chunk: int,
    constrain: Constrain = anywhere,
) -> Float[Array, "B T"]:
    """Every target's nll in nats, for evaluation; where it is not needed it is 0 and costs nothing."""
    head = at_hand(head, hidden_BTD.dtype, constrain)

    def visit(carry, tokens):
        hidden_ZUD, targets_ZU = tokens
        return carry, _nll(_logits(head, hidden_ZUD, constrain), targets_ZU)[0]

    _, nll_BT = sweep(visit, (), (hidden_BTD, targets_BT), needed_BT, Split(groups, chunk, constrain))
    return nll_BT if needed_BT is None else jnp.where(needed_BT, nll_BT, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weighted(static, trained, constants):
    (split, dense, softcap), (hidden_BTD, kernel_VD, bias_V) = static, trained
    never_V, targets_BT, weight_BT = constants
    needed_BT = None if dense else weight_BT != 0
    nll_BT = token_nll(hidden_BTD, Head(kernel_VD, bias_V, never_V, softcap), targets_BT, needed_BT, **vars(split))
    return _total(nll_BT, weight_BT)


def _weighted_with_gradient(static, trained, constants):
    (split, dense, softcap), (hidden_BTD, kernel_VD, bias_V) = static, trained
    never_V, targets_BT, weight_BT = constants
    head = at_hand(Head(kernel_VD, bias_V, never_V, softcap), hidden_BTD.dtype, split.constrain)

    size = at_once(split.chunk, targets_BT.size // split.groups, dense=dense)
    if odds.obstacle(*head.kernel_VD.shape, softcap, hidden_BTD.dtype, size, split.groups, split.constrain):
        swept = functools.partial(_swept, _nll_and_gradient, dense, split)
    else:
        alone = Split(1, split.chunk, anywhere)
        swept = devices.on_each(split.constrain, functools.partial(_swept, _through_odds, dense, alone))
    dhead, (nll_BT, dhidden_BTD) = swept(head, hidden_BTD, targets_BT, weight_BT)
    # Shards are summed after the sweep: inside it, every chunk would wait for all devices.
    dkernel_VD, dbias_V = jax.tree.map(lambda x: x.sum(0), dhead)
    return _total(nll_BT, weight_BT), (dhidden_BTD, dkernel_VD.astype(kernel_VD.dtype), dbias_V)


def _swept(one_chunk, dense, split, head, hidden_BTD, targets_BT, weight_BT):
    """The head's gradient per shard, and every token's nll and gradient."""

    def visit(dhead, tokens):
        return one_chunk(head, dhead, *tokens, split.constrain)

    needed_BT = None if dense else weight_BT != 0
    return sweep(visit, _zero_gradient(head, split), (hidden_BTD, targets_BT, weight_BT), needed_BT, split)


def _scale(static, gradient, cotangents):
    return jax.tree.map(lambda x: (cotangents[0] * x).astype(x.dtype), gradient), None


_weighted.defvjp(_weighted_with_gradient, _scale)


def _total(nll_BT, weight_BT):
    nll_BT = jnp.where(weight_BT != 0, nll_BT, 0)
    return jnp.sum(weight_BT * nll_BT), nll_BT


def at_hand(head: Head, dtype: jnp.dtype, constrain: Constrain) -> Head:
    """The head in the dtype of its products, brought together once and not in every chunk."""
    return dataclasses.replace(head, kernel_VD=constrain(head.kernel_VD.astype(dtype), ("vocab", None)))


def _logits(head, hidden_ZUD, constrain):
    return constrain(logits(head, hidden_ZUD), ("batch", None, "vocab"))


def _nll(logits_ZUV, targets_ZU):
    log_sum_exp_ZU = jax.nn.logsumexp(logits_ZUV, axis=-1)
    return log_sum_exp_ZU - pick(logits_ZUV, targets_ZU), log_sum_exp_ZU


def _zero_gradient(head, split):
    """(kernel, bias) per shard."""
    dkernel_ZVD = jnp.zeros((split.groups, *head.kernel_VD.shape), jnp.float32)
    dbias_ZV = None if head.bias_V is None else jnp.zeros((split.groups, *head.bias_V.shape), jnp.float32)
    return split.constrain(dkernel_ZVD, ("batch", "vocab", None)), dbias_ZV


def _nll_and_gradient(head, dhead, hidden_ZUD, targets_ZU, weight_ZU, constrain):
    """One chunk: the head's gradient so far with this chunk's added, and its tokens' nll and gradients."""
    dkernel_ZVD, dbias_ZV = dhead
    logits_ZUV = _logits(head, hidden_ZUD, constrain)
    nll_ZU, log_sum_exp_ZU = _nll(logits_ZUV, targets_ZU)
    is_target_ZUV = jnp.arange(logits_ZUV.shape[-1]) == targets_ZU[..., None]
    dlogits_ZUV = weight_ZU[..., None] * (jnp.exp(logits_ZUV - log_sum_exp_ZU[..., None]) - is_target_ZUV)
    if dbias_ZV is not None:
        dbias_ZV = dbias_ZV + dlogits_ZUV.sum(1)
    dproduct_ZUV = _through_softcap(head, logits_ZUV, dlogits_ZUV).astype(hidden_ZUD.dtype)
    dkernel_ZVD = dkernel_ZVD + _product("zuv,zud->zvd", dproduct_ZUV, hidden_ZUD)
    dhidden_ZUD = _product("zuv,vd->zud", dproduct_ZUV, head.kernel_VD).astype(hidden_ZUD.dtype)
    return (dkernel_ZVD, dbias_ZV), (nll_ZU, dhidden_ZUD)


def _through_odds(head, dhead, hidden_1UD, targets_1U, weight_1U, constrain):
    """The same for one shard: p_v = odds_v / (1 + Σ odds) at every id but the target, whose own part is exact."""
    dkernel_1VD, dbias_1V = dhead
    hidden_UD, targets_U, weight_U = hidden_1UD[0], targets_1U[0], weight_1U[0]
    rows_UD = head.kernel_VD[targets_U]
    bias_V = odds.bias(head)
    target_logit_U = _product("ud,ud->u", hidden_UD, rows_UD) + bias_V[targets_U]
    odds_UV, others_U = odds.odds(hidden_UD, head.kernel_VD, bias_V, targets_U, target_logit_U)
    share_U = weight_U / (1 + others_U)
    missing_U = share_U * others_U
    scaled_UD = (share_U[:, None] * hidden_UD).astype(hidden_UD.dtype)
    dkernel_1VD = dkernel_1VD + _product("uv,ud->vd", odds_UV, scaled_UD)
    dkernel_1VD = dkernel_1VD.at[0, targets_U].add(-missing_U[:, None] * hidden_UD)
    dhidden_UD = share_U[:, None] * _product("uv,vd->ud", odds_UV, head.kernel_VD) - missing_U[:, None] * rows_UD
    if dbias_1V is not None:
        dbias_1V = dbias_1V + _product("uv,u->v", odds_UV, share_U.astype(odds_UV.dtype))
        dbias_1V = dbias_1V.at[0, targets_U].add(-missing_U)
    return (dkernel_1VD, dbias_1V), (jnp.log1p(others_U)[None], dhidden_UD[None].astype(hidden_UD.dtype))


def _through_softcap(head, logits_ZUV, dlogits_ZUV):
    """Gradient at hidden · kernel, given the one at the logits made of it: c·tanh(x/c) has slope 1 − tanh²(x/c)."""
    if head.softcap is None:
        return dlogits_ZUV
    capped_ZUV = logits_ZUV if head.bias_V is None else logits_ZUV - head.bias_V.astype(jnp.float32)
    slope_ZUV = 1 - (capped_ZUV / head.softcap) ** 2
    return dlogits_ZUV * (slope_ZUV if head.never_V is None else jnp.where(head.never_V, 0, slope_ZUV))


def _product(equation, left, right):
    return jnp.einsum(equation, left, right, preferred_element_type=jnp.float32)
