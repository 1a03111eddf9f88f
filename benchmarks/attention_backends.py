"""What `benchmarks.attention` times: for each backend, functions by part, how to wait for their results, and the
most memory that was taken, in bytes.

Parts are f, the forward pass; fb, forward and all gradients; map, the making of what is prepared once per mask.
"""

import functools
from collections.abc import Callable

from benchmarks import attention_masks

Functions = tuple[dict[str, Callable], Callable, Callable[[], int]]
Shape = tuple[int, int, int, int]
"""B, T, H, K."""


def of_torch(attend: Callable, shape: Shape) -> Functions:
    """Of a function of q, k and v, heads before tokens."""
    import torch

    B, T, H, K = shape
    q, k, v, dout = (torch.randn(B, H, T, K, device="cuda", dtype=torch.bfloat16) for _ in range(4))
    for array in (q, k, v):
        array.requires_grad_()

    def forward():
        with torch.no_grad():
            return attend(q, k, v)

    parts = {"f": forward, "fb": lambda: torch.autograd.grad(attend(q, k, v), (q, k, v), dout)}
    return parts, lambda _: torch.cuda.synchronize(), torch.cuda.max_memory_allocated


def flex(name: str, shape: Shape) -> Functions:
    """FlexAttention, compiled, its block mask made before."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    T = shape[1]
    compiled = torch.compile(create_block_mask, dynamic=False)
    make = functools.partial(compiled, attention_masks.flex(name, T), None, None, T, T, device="cuda")
    attend = functools.partial(torch.compile(flex_attention, dynamic=False), block_mask=make())
    torch.cuda.reset_peak_memory_stats()  # what compiling took
    parts, *rest = of_torch(attend, shape)
    return {**parts, "map": make}, *rest


def sdpa(name: str, shape: Shape) -> Functions:
    """PyTorch's scaled_dot_product_attention through cuDNN."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    def attend(*qkv):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return scaled_dot_product_attention(*qkv, is_causal=name == "causal")

    return of_torch(attend, shape)


def of_jax(prepare: Callable, attend: Callable, facts, shape: Shape) -> Functions:
    """Of facts -> what is prepared, and attend(prepared, q, k, v)."""
    import jax
    import jax.numpy as jnp

    B, T, H, K = shape
    make = jax.jit(prepare)
    batch = make(facts)
    keys = jax.random.split(jax.random.key(0), 4)
    q, k, v, dout = (jax.random.normal(key, (B, T, H, K), jnp.bfloat16) for key in keys)
    forward = jax.jit(attend)

    @jax.jit
    def both(batch, q, k, v, dout):
        out, pull = jax.vjp(functools.partial(attend, batch), q, k, v)
        return out, pull(dout)

    parts = {"f": lambda: forward(batch, q, k, v), "fb": lambda: both(batch, q, k, v, dout)}
    parts["map"] = lambda: make(facts)
    return parts, jax.block_until_ready, lambda: jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]


def cudnn(name: str, shape: Shape) -> Functions:
    """cuDNN through jax.nn, as `attention.plan` calls it."""
    import jax.numpy as jnp

    from hybridlm import attention

    mask, facts = attention_masks.ours(name, shape[1])

    def attend(facts, *qkv):
        return attention.plan(mask, facts, dtype=jnp.bfloat16, head_width=shape[3], backend="cudnn").attend(*qkv)

    return of_jax(lambda facts: facts, attend, facts, shape)


def mosaic(name: str, shape: Shape, cut: str = "") -> Functions:
    """Our kernels, with another cut than theirs if one is given."""
    from hybridlm.attention.mosaic import call
    from hybridlm.attention.mosaic.tiles import Tiles

    mask, facts = attention_masks.ours(name, shape[1])
    cuts = [call.Cut(*(Tiles(*map(int, part.split(":"))) for part in cut.split(",")))] if cut else []
    static = {}

    def prepare(facts):
        prepared = call.prepare(mask, facts, None)
        static["prepared"] = prepared._replace(batch=None)
        return prepared.batch

    def attend(batch, *qkv):
        return call.attend(static["prepared"]._replace(batch=batch), *qkv, shape[3] ** -0.5, *cuts)[0]

    return of_jax(prepare, attend, facts, shape)


BACKENDS = {"mosaic": mosaic, "flex": flex, "cudnn": cudnn, "sdpa": sdpa}
OF_TORCH = ("flex", "sdpa")
TAKES = {"cudnn": attention_masks.NATIVE, "sdpa": attention_masks.PLAIN}
"""The masks of a backend that does not take every one."""
