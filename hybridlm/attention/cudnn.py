"""cuDNN's fused attention through `jax.nn.dot_product_attention`, for the patterns it supports natively.

These are full, causal, causal with a left window, and full or causal with padding at the end of rows. Given any other mask
cuDNN would read a dense bias, which costs three times the causal kernel, so such masks are refused here.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hybridlm.attention.request import Request
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask, bidirectional, causal, padding
from hybridlm.masks.expressions import Arithmetic, Comparison, Constant, Fact, Joined

NAME = "cudnn"
_WINDOW = Arithmetic("-", Fact("q", "index"), Fact("k", "index"))
_NO_RIGHT = Comparison("<=", Arithmetic("-", Fact("k", "index"), Fact("q", "index")), Constant(0))


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A mask in cuDNN's own terms."""

    is_causal: bool
    left: int | None
    is_padded: bool


def pattern(mask: Mask) -> Pattern | None:
    """The mask as a native pattern, or None."""
    whole = mask.canonical
    terms = set(whole.terms) if isinstance(whole, Joined) and whole.op == "and" else {whole}
    terms.discard(bidirectional().canonical)
    is_padded = padding().canonical in terms
    left = min((term.right.value for term in terms if _is_window(term)), default=None)
    rest = {term for term in terms if not _is_window(term)} - {padding().canonical}
    is_causal = bool(rest & {causal().canonical, _NO_RIGHT})
    if rest - {causal().canonical, _NO_RIGHT} or (left is not None and (not is_causal or is_padded)):
        return None
    return Pattern(is_causal, left, is_padded)


def _is_window(term) -> bool:
    return isinstance(term, Comparison) and term.op == "<=" and term.left == _WINDOW and isinstance(term.right, Constant)


def refusal(request: Request) -> str | None:
    """Why cuDNN cannot run this request, or None where it can."""
    if request.platform != "gpu":
        return f"cuDNN runs on NVIDIA GPUs, and this is {request.platform}"
    if request.dtype not in (jnp.bfloat16, jnp.float16):
        return f"cuDNN attention computes in bfloat16 or float16, not {request.dtype.name}"
    if request.head_width % 8 or request.head_width > 256:
        return f"head width {request.head_width} is not a multiple of 8 up to 256"
    if not request.self_attention:
        return "queries and keys are different tokens, and cuDNN would align them by their place in memory"
    if pattern(request.mask) is None:
        return f"{request.mask!r} is not full, causal, causal with a left window, or one of the first two with padding"
    if not request.in_order and pattern(request.mask) != Pattern(False, None, False):
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
    B, T = q_BTHK.shape[:2]
    rows = {}
    if lengths_B is not None:
        lengths_B = jnp.broadcast_to(lengths_B, (B,))
        rows = {"query_seq_lengths": jnp.full((B,), T, jnp.int32), "key_value_seq_lengths": jnp.maximum(lengths_B, 1)}
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
