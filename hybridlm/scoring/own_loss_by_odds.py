"""A loss that is not the NLL, and its gradient, from a chunk's odds (`scoring/odds.py`): no logit is in memory.

With p = odds / (1 + Σ odds), a the derivative of the weighted loss by log Σ exp z and s that by Σ f(p), the derivative
by z_v is (a − s Σ p f') p_v + s p_v f'_v, and more at the target and at the input.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.scoring import odds
from hybridlm.scoring.reductions import Reductions


def chunk_loss(
    head: Head, hidden_BUD: Float[Array, "B U D"], inputs: LossInputs
) -> tuple[tuple[Float[Array, ""], Float[Array, "B U"]], tuple[Array, tuple[Array, Array | None]]]:
    """(Σ train weight · loss, every token's loss), and the gradients by hidden states and by (kernel, bias)."""
    shape, bias_V = inputs.targets_BT.shape, odds.bias(head)
    hidden_ND, targets_N, inputs_N, noise_N = (
        x.reshape(-1, *x.shape[2:]) for x in (hidden_BUD, inputs.targets_BT, inputs.inputs_BT, inputs.noise_BT)
    )
    logit_N = functools.partial(_logit, head, bias_V, hidden_ND)
    target_logit_N, input_logit_N = logit_N(targets_N), logit_N(inputs_N)
    odds_NV, others_N = odds.odds(hidden_ND, head.kernel_VD, bias_V, targets_N, target_logit_N)

    terms = functools.partial(_f_and_slope, inputs.loss.f)
    p_target_N, is_other_NV = 1 / (1 + others_N), _is_other(head, targets_N)
    p_NV, noise_N1 = odds_NV.astype(jnp.float32) * p_target_N[:, None], noise_N[:, None]
    own_N, others_NV = terms(p_target_N, noise_N), terms(p_NV, noise_N1)
    sum_f_N, sum_slope_N = (own + _sum(is_other_NV, x_NV) for own, x_NV in zip(own_N, others_NV, strict=True))

    # odds end at e^60, so beyond that the sum is too small, and no id may seem likelier than all together
    log_sum_exp_N = target_logit_N + jnp.log1p(others_N)
    sums = Reductions(log_sum_exp_N, target_logit_N, jnp.minimum(input_logit_N, log_sum_exp_N), sum_f_N)
    sums = jax.tree.map(lambda x: x.reshape(shape), sums)
    loss, pull, loss_BU = jax.vjp(functools.partial(weighted, inputs), sums, has_aux=True)
    by = jax.tree.map(jnp.ravel, *pull(jnp.ones(())))

    share_N = by.log_sum_exp - by.sum_f * sum_slope_N
    dlogits_NV = share_N[:, None] * p_NV + by.sum_f[:, None] * others_NV[1]
    dlogits_NV = jnp.where(is_other_NV, dlogits_NV, 0).astype(hidden_ND.dtype)
    at_target_N = share_N * p_target_N + by.sum_f * own_N[1] + by.target_logit
    ones = ((targets_N, at_target_N), (inputs_N, by.input_logit))
    dhidden_ND, dhead = _through_head(head, hidden_ND, dlogits_NV, ones)
    return (loss, loss_BU), (dhidden_ND.reshape(hidden_BUD.shape), dhead)


def _logit(head, bias_V, hidden_ND, ids_N):
    product_N = jnp.einsum("nd,nd->n", hidden_ND, head.kernel_VD[ids_N], preferred_element_type=jnp.float32)
    return product_N + bias_V[ids_N]


def _is_other(head, targets_N):
    """All that may be predicted but the target."""
    is_other_NV = jnp.arange(len(head.kernel_VD)) != targets_N[:, None]
    return is_other_NV if head.never_V is None else is_other_NV & ~head.never_V


def _f_and_slope(f, p, noise):
    """f, and its derivative by log p."""
    return jax.jvp(lambda p: f(p, noise), (p,), (p,))


def _sum(where_NV, x_NV):
    return jnp.sum(x_NV, axis=1, where=where_NV)


def weighted(inputs: LossInputs, sums: Reductions) -> tuple[Float[Array, ""], Float[Array, "B U"]]:
    """(Σ train weight · loss, every token's loss), of what was summed over the vocabulary."""
    weight_BU = inputs.train_weight_BT
    loss_BU = jnp.where(weight_BU != 0, inputs.loss(sums, inputs), 0)
    return jnp.sum(weight_BU * loss_BU), loss_BU


def _through_head(head, hidden_ND, dlogits_NV, ones):
    """The gradients by hidden states and by (kernel, bias), given those at all logits and more at one id per token."""
    product: Any = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
    dhidden_ND = product("nv,vd->nd", dlogits_NV, head.kernel_VD)
    dkernel_VD = product("nv,nd->vd", dlogits_NV, hidden_ND)
    dbias_V = None if head.bias_V is None else jnp.sum(dlogits_NV, axis=0, dtype=jnp.float32)
    for ids_N, more_N in ones:
        dhidden_ND += more_N[:, None] * head.kernel_VD[ids_N]
        dkernel_VD = dkernel_VD.at[ids_N].add(more_N[:, None] * hidden_ND)
        dbias_V = None if dbias_V is None else dbias_V.at[ids_N].add(more_N)
    return dhidden_ND.astype(hidden_ND.dtype), (dkernel_VD, dbias_V)
