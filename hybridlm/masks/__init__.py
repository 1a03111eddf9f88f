"""Who may attend to whom: predicates over token facts, recorded once as expressions and read by several interpreters.

    mask = masks.causal() & masks.window(1023) & masks.same_segment()
    mask = masks.custom(lambda q, k: (q.position - k.position) % 4 == 0)

Building, comparing, hashing and storing a mask needs no jax; `evaluate`, `materialize` and `block_map` import it when
they are first asked for.
"""

from hybridlm.masks.flex import from_mask_mod
from hybridlm.masks.library import (
    bidirectional,
    block_causal,
    block_diffusion,
    causal,
    chunk,
    custom,
    dense,
    padding,
    prefix,
    same_segment,
    strided,
    unified,
    valid,
    window,
)
from hybridlm.masks.mask import Mask
from hybridlm.masks.storage import from_json, to_json

_NEED_JAX = {"evaluate": "dense", "materialize": "dense", "block_map": "blocks", "computed_fraction": "blocks"}


def __getattr__(name: str):
    if name in _NEED_JAX:
        import importlib

        return getattr(importlib.import_module(f"hybridlm.masks.evaluate_{_NEED_JAX[name]}"), name)
    raise AttributeError(f"hybridlm.masks has no {name!r}")


__all__ = [
    "Mask",
    "bidirectional",
    "block_causal",
    "block_diffusion",
    "block_map",
    "causal",
    "chunk",
    "computed_fraction",
    "custom",
    "dense",
    "evaluate",
    "from_json",
    "from_mask_mod",
    "materialize",
    "padding",
    "prefix",
    "same_segment",
    "strided",
    "to_json",
    "unified",
    "valid",
    "window",
]
