"""cuDNN's fused attention through `jax.nn.dot_product_attention`, for the patterns it supports natively.

These are full, causal, causal with a left window, and full or causal with padding at the end of rows. Given any other
mask cuDNN would read a dense bias, which costs three times the causal kernel, so such masks are refused here.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hybridlm.attention.request import Request
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask, bidirectional, causal, custom, padding
from hybridlm.masks.expressions import Comparison, Constant, Joined

NAME = "cudnn"

_EVERYTHING, _PADDING = bidirectional().canonical, padding().canonical
_NOTHING_AFTER = custom(lambda q, k: k.index - q.index <= 0).canonical  # how a window says it
_CAUSAL = {causal().canonical, _NOTHING_AFTER}
_DISTANCE = custom(lambda q, k: q.index - k.index <= 0).canonical.left


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A mask in cuDNN's own terms."""

    is_causal: bool
    left: int | None
    is_padded: bool


def pattern(mask: Mask) -> Pattern | None:
    """The mask as a native pattern, or None."""
    whole = mask.canonical
    terms = set(whole.terms) if isinstance(whole, Joined) and whole.op == "and" else {whole} - {_EVERYTHING}
    windows = {term: left for term in terms if (left := _left(term)) is not None}
    is_causal, is_padded = bool(terms & _CAUSAL), _PADDING in terms
    if terms - windows.keys() - _CAUSAL - {_PADDING} or (windows and (is_padded or not is_causal)):
        return None
    return Pattern(is_causal, min(windows.values(), default=None), is_padded)


def _left(term: Any) -> int | None:
    """How many earlier tokens a window shows, if the term is the left side of one."""
    match term:
        case Comparison("<=", distance, Constant(left)) if distance == _DISTANCE and left >= 0:
            return left
    return None


def refusal(request: Request) -> str | None:
    """Why cuDNN cannot run this request, or None where it can. (JAX refuses widths above 128 before Hopper itself.)"""
    if request.platform != "gpu":
        return f"cuDNN runs on NVIDIA GPUs, and this is {request.platform}"
    if request.dtype not in (jnp.bfloat16, jnp.float16):
        return f"cuDNN attention computes in bfloat16 or float16, not {request.dtype.name}"
    if request.head_width % 8 or request.head_width > 256:
        return f"head width {request.head_width} is not a multiple of 8 up to 256"
    if request.length % 2:
        return f"rows of {request.length} tokens are odd, and JAX trains through cuDNN on even lengths alone"
    if not request.is_self_attention:
        return "queries and keys are different tokens, and cuDNN would align them by their place in memory"
    found = pattern(request.mask)
    if found is None:
        return f"{request.mask!r} is not full, causal, causal with a left window, or one of the first two with padding"
    if not request.in_order and found != Pattern(False, None, False):
        return "tokens are not stored in the order of `index`, which is what causal, window and padding compare"
    return None


def prepare(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None) -> tuple[Pattern, Int[Array, "B"] | None]:
    """The pattern, and the rows' lengths where padding is part of it."""
    found = pattern(mask)
    return found, (q_facts.length[:, 0] if found.is_padded else None)


def attend(
    prepared: tuple,
    q_BTHK: Float[Array, "B T H K"],
    k_BSJK: Float[Array, "B S J K"],
    v_BSJK: Float[Array, "B S J K"],
    scale: float,
) -> Float[Array, "B T H K"]:
    """As `dense.attend`, fused; rows of length 0 see nothing and give zeros."""
    found, lengths_B = prepared
    rows = {}
    if lengths_B is not None:
        B, T = q_BTHK.shape[:2]
        lengths_B = jnp.broadcast_to(lengths_B, (B,))
        rows = {"query_seq_lengths": jnp.full((B,), T, jnp.int32), "key_value_seq_lengths": jnp.clip(lengths_B, 1, T)}
    out = jax.nn.dot_product_attention(
        q_BTHK,
        k_BSJK,
        v_BSJK,
        scale=scale,
        is_causal=found.is_causal,
        local_window_size=None if found.left is None else (found.left, 0),
        implementation="cudnn",
        **rows,
    )
    return out if lengths_B is None else jnp.where((lengths_B > 0)[:, None, None, None], out, 0)
