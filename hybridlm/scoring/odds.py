"""The odds of every id against its target, p_v / p_target = exp(z_v - z_target), straight out of the head's product.

They need no maximum first: nll = log(1 + Σ odds) over the other ids, and the gradient at their logits is odds times one
number per token. So each logit lives in registers alone, and the odds are written once, rounded, for the backward
products. For Hopper GPUs; on several, each takes tokens of its own to a whole head.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, BFloat16, Float, Int

from hybridlm.facts import devices
from hybridlm.facts.head import NEVER, Head

WORST = 60.0
"""Odds are at most e^60, so that nothing overflows: a target less likely than that counts as if it were not."""
TOKENS, IDS, DEPTH = 256, 128, 64
"""Tokens, ids and numbers of a hidden state come in multiples of these."""


def obstacle(
    ids: int, width: int, softcap: float | None, dtype: Any, tokens: int, groups: int, constrain: Callable
) -> str | None:
    """Why the kernel cannot take so many tokens of this dtype to a head of so many ids, or None if it can.

    The tokens are those of one of `groups` shards of rows that lie by `constrain`.
    """
    hindered = devices.obstacle(constrain)
    obstacles = {
        hindered: hindered,
        f"{groups} shards on {devices.count(constrain)} devices": groups != devices.count(constrain),
        f"{jnp.dtype(dtype)}, not bfloat16": dtype != jnp.bfloat16,
        "soft cap": softcap is not None,
        f"{tokens} tokens are no multiple of {TOKENS}": tokens % TOKENS,
        f"{ids} ids are no multiple of {IDS}": ids % IDS,
        f"width {width} is no multiple of {DEPTH}": width % DEPTH,
    }
    return next((reason for reason, holds in obstacles.items() if holds), None)


def explain(tokens: int, obstacle: str | None) -> str:
    """What of a head there is in memory for so many tokens at once, and why."""
    return f"logits of {tokens:,} tokens at once ({obstacle})" if obstacle else "a kernel that writes no logits"


def bias(head: Head) -> Float[Array, "V"]:
    """What is added to each logit, so little where an id is never predicted that its odds are 0."""
    bias_V = jnp.zeros(len(head.kernel_VD)) if head.bias_V is None else head.bias_V.astype(jnp.float32)
    return bias_V if head.never_V is None else jnp.where(head.never_V, NEVER, bias_V)


@functools.partial(jax.jit, static_argnames="interpret")
def odds(
    hidden_ND: BFloat16[Array, "N D"],
    kernel_VD: BFloat16[Array, "V D"],
    bias_V: Float[Array, "V"],
    targets_N: Int[Array, "N"],
    target_logit_N: Float[Array, "N"],
    interpret: Any = None,
) -> tuple[BFloat16[Array, "N V"], Float[Array, "N"]]:
    """(the odds of every id, 0 at the target itself; their sum)."""
    from hybridlm.scoring import odds_kernel  # takes a second, which only those who run it pay

    tiles = (len(kernel_VD) // IDS, len(hidden_ND) // TOKENS)
    run = odds_kernel.make(tiles, hidden_ND.shape[1], interpret)
    odds_NV, sums_BN = run(hidden_ND, kernel_VD, bias_V, targets_N, target_logit_N)
    return odds_NV, sums_BN.sum(0)
