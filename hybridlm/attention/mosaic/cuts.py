"""Which kernels a mask takes, and how they stream: what was fastest on an H100 of what shared memory holds.

One pass for all gradients takes five products a pair where two kernels take seven, and evaluates the mask once; but it
clears, fills and rounds dq in float32, which costs every token the same. So it pays where keys are seen by thousands of
queries or the mask is dear (docs/performance.md#one-pass-for-all-gradients).
"""

import math
import os
from typing import Any, NamedTuple

from hybridlm.attention.mosaic.tiles import Tiles
from hybridlm.masks.expressions import Absolute, Arithmetic, Comparison, Constant, Fact, Joined, walk
from hybridlm.masks.mask import Mask

LONG = 4096
"""Queries that may see a key from which on one pass pays at head width 128."""
PARTING = {"stream": 2, "segment": 4}
"""Facts that part a row, and into about how many of which a token sees one."""


class Cut(NamedTuple):
    """How the kernels stream: keys past queries, twice, and queries past keys; or, if `backward` is given, keys past
    queries once, and queries past keys for all gradients, dq among them, whose last bits then differ between runs."""

    forward: Tiles
    queries: Tiles
    keys: Tiles
    backward: Tiles | None = None


CUTS = {
    64: Cut(forward=Tiles(128, 4), queries=Tiles(128, 4), keys=Tiles(128, 4)),
    128: Cut(forward=Tiles(128, 2), queries=Tiles(64, 2), keys=Tiles(64, 2)),
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
    parts = math.prod(PARTING.get(name, 1) for name in {term.name for term in terms if isinstance(term, Fact)})
    return head_width == 128 and min(queries, reach(mask)) >= LONG * parts


def reach(mask: Mask) -> int | float:
    """How many queries may see a key, by the bounds that the mask sets to their distance."""
    match mask.canonical:
        case Joined("and", terms):
            pass
        case alone:
            terms = (alone,)
    bounds = []
    for term in terms:
        match term:
            case Comparison("<" | "<=", Arithmetic("-", a, b), Constant(bound)) if _counts_tokens(a, b):
                bounds.append(bound)
            case Comparison("<" | "<=", Absolute(Arithmetic("-", a, b)), Constant(bound)) if _counts_tokens(a, b):
                bounds.append(2 * bound)
    return 1 + sum(bounds) if bounds else math.inf


def _counts_tokens(a: Any, b: Any) -> bool:
    """Is the difference of the terms that of a query's place and a key's?"""
    are_places = all(isinstance(term, Fact) and term.name in ("index", "position") for term in (a, b))
    return are_places and a.side != b.side


def asks_for_equal_bits() -> bool:
    """Is --xla_gpu_deterministic_ops among XLA_FLAGS?"""
    found = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag.startswith("--xla_gpu_deterministic_ops")]
    return bool(found) and not found[-1].lower().endswith(("=false", "=0"))
