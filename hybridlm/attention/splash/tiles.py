"""How the kernels cut arrays into tiles, walk a list of steps, and read a mask on a tile of scores.

Tokens come as [B, H, T, K], numbers of a token (log-sum-exp) as [B, H, 1, T]. A tile of scores has queries along its
rows and keys along its columns, or, in the gradient of keys, the other way round; facts of what lies along the rows
come as [B, T, 1], of what lies along the columns as [B, 1, T].
"""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from hybridlm.attention.splash.steps import Step, Steps
from hybridlm.masks.evaluate_blocks import FULL, PARTIAL
from hybridlm.masks.evaluate_dense import evaluate
from hybridlm.masks.mask import Mask

LANES = 128
ROWS, COLUMNS = 0, 1
"""Axes of a tile of scores."""

_VMEM = 64 * 2**20
"""Bytes of vector memory a kernel may take, half of what a v5e or v6e has."""


@no_type_check  # the same tree also holds specs and placeholders
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Grid:
    """A kernel's grid: (rows of the batch that share one list, heads, steps of the list, heads within a head).

    Attributes:
      steps: the list. block: tokens of a block. sizes: of the grid but for the steps.
    """

    steps: Steps
    block: int = dataclasses.field(metadata={"static": True})
    sizes: tuple[int, int, int] = dataclasses.field(metadata={"static": True})

    def tokens(self, axis: int, head: Callable, width: int) -> pl.BlockSpec:
        """The tokens of one side in a block, of head(h, g)."""
        return self._spec((None, None, self.block, width), axis, lambda b, row, h, g, at: (b + row, head(h, g), at, 0))

    def numbers(self, axis: int, head: Callable) -> pl.BlockSpec:
        """One number per token and head."""
        return self._spec((None, None, 1, self.block), axis, lambda b, row, h, g, at: (b + row, head(h, g), 0, at))

    def facts(self, axis: int, facts: Mapping[str, Array]) -> dict[str, pl.BlockSpec]:
        """The facts of one side."""
        if axis == ROWS:
            spec = self._spec((None, self.block, 1), axis, lambda b, row, h, g, at: (row, at, 0))
        else:
            spec = self._spec((None, 1, self.block), axis, lambda b, row, h, g, at: (row, 0, at))
        return dict.fromkeys(facts, spec)

    def _spec(self, shape: tuple, axis: int, place: Callable) -> pl.BlockSpec:
        def index(b, h, s, g, code_ref):
            step = self.steps.read(code_ref[s])
            return place(b, step.batch, h, g, step.row if axis == ROWS else step.column)

        return pl.BlockSpec(shape, index)

    def run(
        self, kernel: Callable, in_specs: Any, out_specs: Any, out_shape: Any, scratch: tuple, interpret: bool
    ) -> Callable:
        """The kernel as a function of its arrays; it is called as kernel(step, *refs) at every step."""

        def at_step(code_ref, *refs):
            kernel(self._step(code_ref), *refs)

        batch, heads, group = self.sizes
        call = pl.pallas_call(
            at_step,
            out_shape=out_shape,
            grid_spec=pltpu.PrefetchScalarGridSpec(
                num_scalar_prefetch=1,
                grid=(batch, heads, self.steps.count, group),
                in_specs=in_specs,
                out_specs=out_specs,
                scratch_shapes=[pltpu.VMEM(shape, jnp.float32) for shape in scratch],
            ),
            compiler_params=pltpu.CompilerParams(
                dimension_semantics=("parallel", "parallel", "arbitrary", "arbitrary"), vmem_limit_bytes=_VMEM
            ),
            interpret=interpret,
        )
        return functools.partial(call, self.steps.code)

    def _step(self, code_ref: Any) -> Step:
        """This visit; its row of blocks begins and ends with the first and the last head within the head."""
        step, inner = self.steps.read(code_ref[pl.program_id(2)]), pl.program_id(3)
        is_last = step.is_last & (inner == self.sizes[2] - 1)
        return step._replace(is_first=step.is_first & (inner == 0), is_last=is_last)


def by_class(step: Step, visit: Callable) -> None:
    """Calls visit(is_partial) as this step's block is, and not at all where it is empty."""
    pl.when(step.kind == PARTIAL)(functools.partial(visit, True))
    pl.when(step.kind == FULL)(functools.partial(visit, False))


def along(axis: int, facts: Mapping[str, Array]) -> dict[str, Array]:
    """Facts [B, T] as the specs of one side read them."""
    return {name: jnp.expand_dims(column, 2 - axis) for name, column in facts.items()}


def hide(mask: Mask, scores: Array, q_facts: Mapping[str, Any], k_facts: Mapping[str, Any]) -> Array:
    """The scores, minus infinity where the query may not see the key."""

    def spread(refs):
        return types.SimpleNamespace(**{name: jnp.broadcast_to(ref[...], scores.shape) for name, ref in refs.items()})

    return jnp.where(evaluate(mask, spread(q_facts), spread(k_facts)), scores, -jnp.inf)


def product(left: Array, right: Array, *, transposed: bool = False) -> Array:
    """left·right, or left·rightᵀ, summed in float32."""
    over = (((1,), (1 if transposed else 0,)), ((), ()))
    return lax.dot_general(left, right, over, preferred_element_type=jnp.float32)
