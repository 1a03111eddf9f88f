"""Which kernels a mask takes, and how they stream: what was fastest on an H100 of what shared memory holds.

One pass for all gradients takes five products a pair where two kernels take seven, and evaluates the mask once; but it
clears, fills and rounds dq in float32, which costs every token the same. So it pays where rows of keys are seen by many
queries or the mask is dear (docs/performance.md#one-pass-for-all-gradients).
"""

import os
from typing import NamedTuple

from hybridlm.attention.mosaic.tiles import Tiles
from hybridlm.masks.expressions import Arithmetic, Fact, walk
from hybridlm.masks.mask import Mask

LONG = 4096
"""Queries from which on one pass pays at head width 128; of them a mask that parts the row shows about half."""
PARTING = {"segment", "stream"}
"""Facts that part a row into documents or streams."""


class Cut(NamedTuple):
    """How the kernels stream: keys past queries, twice, and queries past keys; or, if `backward` is given, keys past
    queries once, and queries past keys for all gradients, dq among them, whose last bits then differ between runs."""

    forward: Tiles
    queries: Tiles
    keys: Tiles
    backward: Tiles | None = None


CUTS = {
    64: Cut(forward=Tiles(128, 4), queries=Tiles(128, 4, False), keys=Tiles(128, 4, False)),
    128: Cut(forward=Tiles(128, 2), queries=Tiles(64, 2, False), keys=Tiles(64, 2, False)),
}
"""By head width."""

IN_ONE_PASS = {64: Tiles(64, 6, False), 128: Tiles(64, 2, False)}
"""By head width, of the kernel for all gradients."""


def fastest(mask: Mask, queries: int, head_width: int) -> Cut:
    """The cut for a mask over rows of so many queries; with XLA's option for equal bits always the two kernels."""
    in_one_pass = pays(mask, queries, head_width) and not asks_for_equal_bits()
    return CUTS[head_width]._replace(backward=IN_ONE_PASS[head_width] if in_one_pass else None)


def pays(mask: Mask, queries: int, head_width: int) -> bool:
    """Is one pass for all gradients faster, by what the mask reads alone?"""
    terms = list(walk(mask.canonical))
    if any(isinstance(term, Arithmetic) and term.op == "%" for term in terms):
        return True  # no block is full
    is_parted = any(isinstance(term, Fact) and term.name in PARTING for term in terms)
    return head_width == 128 and queries >= LONG * (1 + is_parted)


def asks_for_equal_bits() -> bool:
    """Is --xla_gpu_deterministic_ops among XLA_FLAGS?"""
    found = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag.startswith("--xla_gpu_deterministic_ops")]
    return bool(found) and not found[-1].lower().endswith(("=false", "=0"))
