"""What `benchmarks.attention` times: for each backend, compiled functions by part, how to wait for their results, and
the most memory that was taken, in bytes.

Parts are f, the forward pass; fb, forward and all gradients; map, the making of what is prepared once per mask. All
backends of a card are compiled at the same time, so whoever waits for its turn keeps as little memory as it can.
"""

import functools
from collections.abc import Callable, Collection

from benchmarks import attention_masks

Functions = tuple[dict[str, Callable], Callable, Callable[[], int]]
Shape = tuple[int, int, int, int]
"""B, T, H, K."""


def of_torch(attend: Callable, shape: Shape, wanted: Collection[str], **others: Callable) -> Functions:
    """Of a function of q, k and v, heads before tokens, and other parts; running each once compiles it."""
    import torch

    B, T, H, K = shape
    q, k, v, dout = (torch.randn(B, H, T, K, device="cuda", dtype=torch.bfloat16) for _ in range(4))
    for array in (q, k, v):
        array.requires_grad_()

    def forward():
        with torch.no_grad():
            return attend(q, k, v)

    parts = {"f": forward, "fb": lambda: torch.autograd.grad(attend(q, k, v), (q, k, v), dout), **others}
    parts = {part: parts[part] for part in wanted if part in parts}
    for function in parts.values():
        function()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()  # what compiling took
    return parts, lambda _: torch.cuda.synchronize(), torch.cuda.max_memory_allocated


def flex(name: str, shape: Shape, wanted: Collection[str]) -> Functions:
    """FlexAttention, compiled, its block mask made before."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    T = shape[1]
    compiled = torch.compile(create_block_mask, dynamic=False)
    make = functools.partial(compiled, attention_masks.flex(name, T), None, None, T, T, device="cuda")
    attend = functools.partial(torch.compile(flex_attention, dynamic=False), block_mask=make())
    return of_torch(attend, shape, wanted, map=make)


def sdpa(name: str, shape: Shape, wanted: Collection[str]) -> Functions:
    """PyTorch's scaled_dot_product_attention through cuDNN."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    def attend(*qkv):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return scaled_dot_product_attention(*qkv, is_causal=name == "causal")

    return of_torch(attend, shape, wanted)


def of_jax(prepare: Callable, attend: Callable, facts, shape: Shape, wanted: Collection[str]) -> Functions:
    """Of facts -> what is prepared, and attend(prepared, q, k, v); the arrays are made when first needed."""
    import jax
    import jax.numpy as jnp

    make = jax.jit(prepare)
    batch = make(facts)
    array = jax.ShapeDtypeStruct(shape, jnp.bfloat16)

    @functools.cache
    def arrays():
        return [jax.random.normal(key, shape, jnp.bfloat16) for key in jax.random.split(jax.random.key(0), 4)]

    def both(batch, q, k, v, dout):
        out, pull = jax.vjp(functools.partial(attend, batch), q, k, v)
        return out, pull(dout)

    def part(function, count):
        program = jax.jit(function).lower(batch, *[array] * count).compile()
        return lambda: program(batch, *arrays()[:count])

    takes = {"f": (attend, 3), "fb": (both, 4)}
    parts = {name: part(*takes[name]) if name in takes else functools.partial(make, facts) for name in wanted}
    return parts, jax.block_until_ready, lambda: jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]


def cudnn(name: str, shape: Shape, wanted: Collection[str]) -> Functions:
    """cuDNN through jax.nn, as `attention.plan` calls it."""
    import jax.numpy as jnp

    from hybridlm import attention

    mask, facts = attention_masks.ours(name, shape[1])

    def attend(facts, *qkv):
        return attention.plan(mask, facts, dtype=jnp.bfloat16, head_width=shape[3], backend="cudnn").attend(*qkv)

    return of_jax(lambda facts: facts, attend, facts, shape, wanted)


def mosaic(name: str, shape: Shape, wanted: Collection[str], cut: str = "") -> Functions:
    """Our kernels, with another cut than theirs if one is given."""
    from hybridlm.attention import mosaic as kernels
    from hybridlm.attention.mosaic import call, cuts
    from hybridlm.attention.mosaic.tiles import Tiles

    mask, facts = attention_masks.ours(name, shape[1])
    given = [cuts.Cut(*(Tiles(*map(int, part.split(":"))) for part in cut.split(",")))] if cut else []
    static = {}

    def prepare(facts):
        prepared = kernels.prepare(mask, facts, None)
        static["prepared"] = prepared._replace(batch=None)
        return prepared.batch

    def attend(batch, *qkv):
        return call.attend(static["prepared"]._replace(batch=batch), *qkv, shape[3] ** -0.5, *given)[0]

    return of_jax(prepare, attend, facts, shape, wanted)


BACKENDS = {"mosaic": mosaic, "flex": flex, "cudnn": cudnn, "sdpa": sdpa}
OF_TORCH = ("flex", "sdpa")
TAKES = {"cudnn": attention_masks.NATIVE, "sdpa": attention_masks.PLAIN}
"""The masks of a backend that does not take every one."""
