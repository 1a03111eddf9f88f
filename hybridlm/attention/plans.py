"""Chooses a backend for a mask and its tokens, prepares the mask once, and says what was chosen and why."""

import dataclasses
import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.attention import cudnn, dense, mosaic, splash
from hybridlm.attention.request import Request, make
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask, computed_fraction

BACKENDS: tuple[ModuleType, ...] = (cudnn, mosaic, splash, dense)
"""In order of preference, but for what `_objection` says. A backend is a module with NAME, refusal(request),
prepare(mask, q, k) and attend(...); the last one takes every request."""


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What runs and why.

    Attributes:
      backend: its name. reason: why this one; for each faster one, why not.
      needed: the share of 128 x 128 blocks that hold a visible pair. computed: the share the backend computes.
    """

    backend: str
    reason: str
    needed: float
    computed: float

    def __str__(self) -> str:
        return f"{self.backend}: {self.reason}; computes {self.computed:.1%} of blocks, {self.needed:.1%} needed"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A mask prepared for one batch of tokens, shared by all layers."""

    backend: ModuleType
    prepared: Any
    stretch = None
    """The mesh axis that rows are cut along: none, for all of a row is here."""

    def attend(
        self,
        q_BTHK: Float[Array, "B T H K"],
        k_BSJK: Float[Array, "B S J K"],
        v_BSJK: Float[Array, "B S J K"],
        *,
        scale: float | None = None,
    ) -> Float[Array, "B T H K"]:
        """Attention over the keys each query may see; scale defaults to 1/sqrt(K). Who sees nothing gets zeros."""
        scale = q_BTHK.shape[-1] ** -0.5 if scale is None else scale
        return self.backend.attend(self.prepared, q_BTHK, k_BSJK, v_BSJK, scale)

    def attend_to_projection(
        self,
        projection_BTJRK: Float[Array, "B T J R K"],
        rotation: tuple[Array, Array] | None,
        heads_of: Callable[..., tuple[Array, Array, Array]],
    ) -> Float[Array, "B T H K"] | None:
        """Attention of the queries, keys and values that heads_of(projection, rotation) makes, where the backend writes
        the gradient of the projection at once; else None."""
        attend = getattr(self.backend, "attend_to_projection", None)
        scale = projection_BTJRK.shape[-1] ** -0.5
        return attend and attend(self.prepared, projection_BTJRK, rotation, heads_of, scale)

    @property
    def mix(self) -> "Mixing":
        """The mixing function a model is handed: every layer attends alike, and no state is kept."""
        return Mixing(self)


@dataclasses.dataclass(frozen=True)
class Mixing:
    """A plan as a layer calls it."""

    plan: Any

    def __call__(self, layer: Any, q: Array, k: Array, v: Array, state: Any) -> tuple[Array, Any]:
        """(`Plan.attend`, the state as it came)."""
        return self.plan.attend(q, k, v), state

    def of_projection(
        self, projection_BTJRK: Array, rotation: tuple[Array, Array] | None, heads_of: Callable
    ) -> Array | None:
        """`Plan.attend_to_projection`."""
        return self.plan.attend_to_projection(projection_BTJRK, rotation, heads_of)


def plan(
    mask: Mask,
    q_facts: TokenFacts,
    k_facts: TokenFacts | None = None,
    *,
    dtype: Any,
    head_width: int,
    backend: str = "auto",
    platform: str | None = None,
) -> Plan:
    """The fastest backend that computes this mask exactly; one asked for by name runs or is refused with the reason."""
    chosen, _ = _choose(make(mask, q_facts, k_facts, platform, dtype, head_width), backend)
    return Plan(chosen, chosen.prepare(mask, q_facts, k_facts))


def explain(
    mask: Mask,
    q_facts: TokenFacts,
    k_facts: TokenFacts | None = None,
    *,
    dtype: Any = jnp.bfloat16,
    head_width: int = 64,
    backend: str = "auto",
    platform: str | None = None,
) -> Explanation:
    """What `plan` would choose for concrete tokens, why, and what share of the blocks it computes."""
    chosen, reason = _choose(make(mask, q_facts, k_facts, platform, dtype, head_width), backend)
    needed = float(computed_fraction(mask, q_facts, k_facts))
    return Explanation(chosen.NAME, reason, needed, _computed(chosen, mask, q_facts, k_facts))


def _computed(backend: ModuleType, mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None) -> float:
    """The share of its own blocks that a backend computes."""
    if backend is dense:
        return 1.0
    sizes = {"block_q": splash.BLOCK, "block_k": splash.BLOCK} if backend is splash else {}
    return float(computed_fraction(mask, q_facts, k_facts, **sizes))


def _choose(request: Request, name: str) -> tuple[ModuleType, str]:
    """The backend and the reason for it."""
    if name == "auto":
        passed = list(itertools.takewhile(lambda backend: _objection(backend, request), BACKENDS))
        chosen = BACKENDS[len(passed)]
        reasons = [f"not {backend.NAME}: {_objection(backend, request)}" for backend in passed]
        return chosen, "; ".join([*reasons, f"{chosen.NAME} takes it"])
    known = {backend.NAME: backend for backend in BACKENDS}
    if name not in known:
        raise ValueError(f"attention backend {name!r} is unknown; there are {', '.join(known)}, and 'auto'.")
    refused = known[name].refusal(request)
    if refused:
        raise ValueError(f"attention backend {name!r} was asked for, but {refused}. Use 'auto', or another mask.")
    return known[name], "asked for by name"


def _objection(backend: ModuleType, request: Request) -> str | None:
    """Why a backend is passed over where none was asked for: it refuses, or the next one is known to be faster."""
    refused = backend.refusal(request)
    if refused or backend is not cudnn or mosaic.refusal(request):
        return refused
    return "mosaic is faster at causal masks, forward and backward" if cudnn.pattern(request.mask).is_causal else None
