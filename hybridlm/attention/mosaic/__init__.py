"""Any mask on a Hopper GPU: block-sparse flash attention, forward and backward, written with Mosaic GPU.

The mask is evaluated once per batch, to a bit a pair, or, in long rows, by the kernels, on tiles of facts; blocks
without a visible pair are skipped, blocks without a hidden one are not masked. Facts are data: new documents or
prefixes compile nothing.
"""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.attention.request import Request, pairs
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.expressions import Opaque, Table, walk
from hybridlm.masks.mask import Mask

NAME = "mosaic"
HEAD_WIDTHS = (64, 128)
MOST_PAIRS = 1 << 29
"""Of a batch, up to which a bit of each is kept, and again for kernels that hold keys: 128 MiB in all."""
TOO_NEW = (0, 12)
"""From this jax on, libnvJitLink compiles the kernels and ignores how they part registers (docs/attention.md)."""


def refusal(request: Request) -> str | None:
    """Why the kernels cannot run this request, or None where they can."""
    if request.platform != "gpu":
        return f"its kernels are for NVIDIA Hopper GPUs, and this is {request.platform}"
    if request.compute_capability != "9.0":
        return f"its kernels are for compute capability 9.0 (H100, H200), and this GPU has {request.compute_capability}"
    if request.dtype != jnp.bfloat16:
        return f"its kernels compute in bfloat16, not {request.dtype.name}"
    if request.head_width not in HEAD_WIDTHS:
        return f"head width {request.head_width} is not {' or '.join(map(str, HEAD_WIDTHS))}"
    is_code = any(isinstance(node, Table | Opaque) for node in walk(request.mask.canonical))
    if is_code and request.pairs > MOST_PAIRS:
        return (
            f"{request.mask!r} holds a dense array or function, which its kernels read as bits, and the batch has "
            f"{request.pairs:,} pairs, of which only up to {MOST_PAIRS:,} are kept"
        )
    return None


def warn_if_slow(version: str, platform: str) -> None:
    """Says so where this jax compiles the kernels right, but slow."""
    if platform == "gpu" and tuple(map(int, version.split(".")[:2])) >= TOO_NEW:
        warnings.warn(
            f"jax {version} compiles attention kernels that are right but slow: it links them, and a linker ignores "
            "how their threads share registers. Take jax 0.11: pip install 'hybridlm[cuda]', or 'jax[cuda13]<0.12'.",
            RuntimeWarning,
            stacklevel=2,
        )


def prepare(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None) -> Any:
    """The visible pairs and the blocks to visit, on the device, once for all layers."""
    from hybridlm.attention.mosaic import call  # takes a second, which only those who run it pay

    warn_if_slow(jax.__version__, jax.default_backend())
    return call.prepare(mask, q_facts, k_facts, in_bits=pairs(q_facts, k_facts) <= MOST_PAIRS)


def attend(
    prepared: Any,
    q_BTHK: Float[Array, "B T H K"],
    k_BSJK: Float[Array, "B S J K"],
    v_BSJK: Float[Array, "B S J K"],
    scale: float,
) -> Float[Array, "B T H K"]:
    """As `dense.attend`, fused."""
    from hybridlm.attention.mosaic import call

    out, _ = call.attend(prepared, q_BTHK, k_BSJK, v_BSJK, scale)
    return out


def attend_to_projection(
    prepared: Any,
    projection_BTJRK: Float[Array, "B T J R K"],
    rotation: tuple[Array, Array] | None,
    heads_of: Callable[..., tuple[Array, Array, Array]],
    scale: float,
) -> Float[Array, "B T H K"] | None:
    """As `attend` of heads_of(projection, rotation), with the gradient of the projection at once; None where the
    kernels cannot."""
    from hybridlm.attention.mosaic import projection

    return projection.attend(prepared, projection_BTJRK, rotation, heads_of, scale)
