"""Any mask on a TPU: sparse flash ("splash") attention, forward and backward, written with Pallas.

The mask's expression is traced into the kernels and read on tiles of facts; a block without a visible pair is no step
of the grid, one without a hidden pair is not masked. Facts are data: new documents or prefixes compile nothing.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.attention.request import Request
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.expressions import Opaque, Table, walk
from hybridlm.masks.mask import Mask

NAME = "splash"
HEAD_WIDTHS = (64, 128, 256)
BLOCK = 512
"""Queries, and keys, of a block: a step of the grid."""
FEWEST = 128
"""Queries of a row that are worth a block, most of which would else be padding."""


def refusal(request: Request) -> str | None:
    """Why the kernels cannot run this request, or None where they can."""
    if request.platform != "tpu":
        return f"its kernels are for TPUs, and this is {request.platform}"
    if request.dtype not in (jnp.bfloat16, jnp.float32):
        return f"its kernels compute in bfloat16 or float32, not {request.dtype.name}"
    if request.head_width not in HEAD_WIDTHS:
        return f"head width {request.head_width} is not {', '.join(map(str, HEAD_WIDTHS[:-1]))} or {HEAD_WIDTHS[-1]}"
    if request.length < FEWEST:
        return f"a row of {request.length} queries would fill little of a tile of {FEWEST}"
    if any(isinstance(node, Table | Opaque) for node in walk(request.mask.canonical)):
        return f"{request.mask!r} holds a dense array or function, which its kernels do not read"
    return None


def prepare(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None) -> Any:
    """The facts and the blocks to visit, on the device, once for all layers."""
    from hybridlm.attention.splash import call  # takes a second, which only those who run it pay

    return call.prepare(mask, q_facts, k_facts)


def attend(
    prepared: Any,
    q_BTHK: Float[Array, "B T H K"],
    k_BSJK: Float[Array, "B S J K"],
    v_BSJK: Float[Array, "B S J K"],
    scale: float,
) -> Float[Array, "B T H K"]:
    """As `dense.attend`, fused."""
    from hybridlm.attention.splash import call

    out, _ = call.attend(prepared, q_BTHK, k_BSJK, v_BSJK, scale)
    return out
