"""Attention on a mesh: each device computes its own rows, heads and queries, over the keys of whole rows.

Kernels know no mesh and XLA cannot cut them, so they run inside `shard_map`. Along `sequence` queries stay where they
are, and keys and values are gathered: their facts come with them, so every mask is right wherever a token lies. The
gradients of keys and values are summed and scattered back, which is what the gathering turns into.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float

from hybridlm import attention
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask
from hybridlm.sharding.mesh import BATCH, ways


def planner(mesh: Mesh | AbstractMesh) -> Callable[..., Any]:
    """`attention.plan` for arrays that lie on this mesh."""
    return attention.plan if mesh.size == 1 else functools.partial(_plan, mesh)


@dataclasses.dataclass(frozen=True)
class MeshPlan:
    """A mask prepared for one batch, part by part.

    Attributes:
      mesh. stretch: "sequence" where every device has a part of each row, else None.
      axes: what the parts are divided over; those of each device stand in one place of the first axis of `parts`.
      joined: makes the plan of one device from its parts.
    """

    mesh: Mesh | AbstractMesh
    stretch: str | None
    axes: tuple[str, ...]
    parts: Sequence[Array]
    joined: Callable[[Sequence[Array]], attention.Plan]

    @property
    def mix(self) -> attention.Mixing:
        """The mixing function a model is handed: every layer attends alike, and no state is kept."""
        return attention.Mixing(self)

    def attend(
        self, q: Float[Array, "B T H K"], k: Float[Array, "B T J K"], v: Float[Array, "B T J K"]
    ) -> Float[Array, "B T H K"]:
        """As `attention.Plan.attend`."""
        where = P(_rows(self.mesh, len(q)), self.stretch, "tensor")
        attend = _on_devices(self._attend, self.mesh, (P(self.axes), where, where, where), where)
        return attend(self.parts, q, k, v)

    def attend_to_projection(
        self,
        projection: Float[Array, "B T J R K"],
        rotation: tuple[Array, Array] | None,
        heads_of: Callable[..., tuple[Array, Array, Array]],
    ) -> Float[Array, "B T H K"] | None:
        """As `attention.Plan.attend_to_projection`, or else from parts, of each device's own rows and key heads; None
        where rows are cut."""
        if self.stretch:
            return None
        rows = _rows(self.mesh, len(projection))
        where = P(rows, None, "tensor")
        # one row of angles serves all rows
        turns = P(rows) if rotation and len(rotation[0]) > 1 else P()

        def attend(parts, projection, rotation):
            plan = self.joined([part[0] for part in parts])
            out = plan.attend_to_projection(projection, rotation, heads_of)
            return plan.attend(*heads_of(projection, rotation)) if out is None else out

        return _on_devices(attend, self.mesh, (P(self.axes), where, turns), where)(self.parts, projection, rotation)

    def _attend(self, parts, q, k, v):
        if self.stretch:
            k, v = (jax.lax.all_gather(x, self.stretch, axis=1, tiled=True) for x in (k, v))
        return self.joined([part[0] for part in parts]).attend(q, k, v)


def _plan(mesh: Mesh | AbstractMesh, mask: Mask, facts: TokenFacts, **how: Any) -> MeshPlan:
    """`attention.plan` of each device for its own rows and queries."""
    rows, length = facts.shape
    stretch = "sequence" if mesh.shape["sequence"] > 1 and length % mesh.shape["sequence"] == 0 else None
    batch = _rows(mesh, rows)
    axes = (*(batch or ()), *((stretch,) if stretch else ()))
    facts = jax.tree.map(lambda column: jnp.broadcast_to(column, (rows, length)), facts)
    # a stretch of a row does not count from 0
    facts = dataclasses.replace(facts, in_order=facts.in_order and not stretch)
    known = {}

    def prepare(q_facts, k_facts):
        # without a cut along rows, queries and keys are the same tokens, which some kernels ask for
        plan = attention.plan(mask, q_facts, k_facts if stretch else None, **how)
        leaves, structure = jax.tree.flatten(plan.prepared)
        static = [None if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        known.update(backend=plan.backend, structure=structure, static=static)
        return [leaf[None] for leaf in leaves if isinstance(leaf, jax.Array)]

    parts = _on_devices(prepare, mesh, (P(batch, stretch), P(batch)), P(axes))(facts, facts)

    def joined(parts):
        arrays = iter(parts)
        leaves = [next(arrays) if leaf is None else leaf for leaf in known["static"]]
        return attention.Plan(known["backend"], known["structure"].unflatten(leaves))

    return MeshPlan(mesh, stretch, axes, parts, joined)


def _rows(mesh: Mesh | AbstractMesh, count: int) -> tuple[str, ...] | None:
    """What rows are divided over; rows that do not divide are all on every device."""
    return BATCH if count % ways(mesh, BATCH) == 0 else None


def _on_devices(function, mesh, in_specs, out_specs):
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
