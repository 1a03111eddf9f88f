"""Running sums over tokens by split group and label, on the devices: neither mesh nor order of tokens changes a bit.

The devices hold the groups met lately and the host the others, so that memory there does not grow with the text.
"""

import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hybridlm.scoring import accumulator
from hybridlm.scoring.accumulator import Accumulator
from hybridlm.scoring.sums import cluster_sums

GROUPS = 1024
"""Groups whose sums the devices hold, or as many as one batch has."""
LEAST = 64
"""Groups of a batch are as many at least for the program that adds them, so that most batches share one."""
TOKENS = 2**15
"""Tokens added at once: the sums of a batch are exact for fewer than 2^16 tokens of one group and label."""

Counted = tuple[Float[Array, "_ B T"], Bool[Array, "B T"]]
"""Values of a column, and which tokens it counts."""


class GroupSums:
    """Sums of the values of several columns, and their tokens, by split group and label."""

    def __init__(self, values: Sequence[int], labels: int, capacity: int = GROUPS):
        """`values`: how many each column has. `capacity`: groups that the devices hold."""
        self._values, self._labels, self._capacity = tuple(values), labels, capacity
        self._groups = np.zeros(0, np.int64)
        self._sums = [(np.zeros((count, 0, labels)), np.zeros((0, labels), np.int64)) for count in values]
        self._place: dict[int, int] = {}
        self._held: tuple[Accumulator, ...] | None = None

    def add(
        self, group_BT: Int[np.ndarray, "B T"], labels_MBT: Int[Array, "M B T"], columns: Sequence[Counted]
    ) -> None:
        """Adds a batch; every group has a number of its own, which may be large."""
        here, cluster = np.unique(group_BT, return_inverse=True)
        self._make_room(here.tolist())
        if self._held is None:
            self._held = _empty(self._values, self._capacity, self._labels, labels_MBT.sharding)
        # what was restored lies on the host
        self._held = jax.device_put(self._held, labels_MBT.sharding)
        rows = [self._place.setdefault(group, len(self._place)) for group in here.tolist()]
        # a few sizes, so that few programs are compiled; rows past the last are dropped
        size = max(_power(len(rows)), min(LEAST, self._capacity))
        rows_G = np.pad(np.array(rows, np.int32), (0, size - len(rows)), constant_values=self._capacity)
        self._held = _added(self._held, rows_G, cluster.reshape(group_BT.shape), labels_MBT, tuple(columns))

    def read(self) -> tuple[Int[np.ndarray, "N"], list[tuple[Float[np.ndarray, "_ N C"], Int[np.ndarray, "N C"]]]]:
        """The groups in order, and for every column its totals and counts."""
        self._to_host()
        return self._groups, self._sums

    def state(self) -> dict[str, np.ndarray]:
        """All of it as arrays by name, on the host."""
        found = {"groups": self._groups, "capacity": np.array(self._capacity)}
        for number, (total_KNC, count_NC) in enumerate(self._sums):
            found |= {f"total/{number}": total_KNC, f"count/{number}": count_NC}
        if self._held is not None:
            found["place"] = np.array(list(self._place), np.int64)
            leaves = jax.device_get(jax.tree.leaves(self._held))
            found |= {f"held/{number}": leaf for number, leaf in enumerate(leaves)}
        return found

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """What `state` gave, down to the bits that the devices held."""
        self._groups, self._capacity = state["groups"], int(state["capacity"])
        self._sums = [(state[f"total/{n}"], state[f"count/{n}"]) for n in range(len(self._values))]
        self._place, self._held = {}, None
        if "place" in state:
            self._place = {group: row for row, group in enumerate(state["place"].tolist())}
            empty = jax.eval_shape(functools.partial(_nothing, self._values, self._capacity, self._labels))
            shape = jax.tree.structure(empty)
            self._held = jax.tree.unflatten(shape, [state[f"held/{n}"] for n in range(shape.num_leaves)])

    def _make_room(self, groups: list[int]) -> None:
        if len(self._place.keys() | groups) > self._capacity:
            self._to_host()
            self._capacity = max(self._capacity, _power(len(groups)))

    def _to_host(self) -> None:
        """Adds what the devices hold to the totals on the host, and empties them."""
        if self._held is None:
            return
        held = np.array(list(self._place), np.int64)
        groups = np.union1d(self._groups, held)

        def joined(before, new):
            both = np.zeros((*before.shape[:-2], len(groups), self._labels), before.dtype)
            both[..., np.searchsorted(groups, self._groups), :] = before
            both[..., np.searchsorted(groups, held), :] += new[..., : len(held), :]
            return both

        read = [accumulator.read(one) for one in self._held]
        self._sums = [tuple(map(joined, before, new)) for before, new in zip(self._sums, read, strict=True)]
        self._groups, self._place, self._held = groups, {}, None


def _power(number: int) -> int:
    """The power of two that is at least the number."""
    return 1 << (number - 1).bit_length()


def _empty(values: Sequence[int], groups: int, labels: int, where: jax.sharding.Sharding) -> tuple[Accumulator, ...]:
    return jax.jit(functools.partial(_nothing, values, groups, labels), out_shardings=where)()


def _nothing(values: Sequence[int], groups: int, labels: int) -> tuple[Accumulator, ...]:
    return tuple(accumulator.empty(groups, labels, (count,)) for count in values)


@functools.partial(jax.jit, donate_argnums=0)
def _added(held, rows_G, cluster_BT, labels_MBT, columns):
    return tuple(
        _with_column(one, rows_G, cluster_BT, labels_MBT, *column) for one, column in zip(held, columns, strict=True)
    )


def _with_column(held: Accumulator, rows_G, cluster_BT, labels_MBT, values_KBT, is_counted_BT) -> Accumulator:
    here = jax.tree.map(lambda x_NC: x_NC.at[..., rows_G, :].get(mode="fill", fill_value=0), held)
    size = dict(zip(("clusters", "categories"), here.counted_PC.shape))

    def add(here, part):
        labels_MU, cluster_U, values_KU, is_counted_U = part
        return accumulator.add(
            here, cluster_sums(labels_MU[:, None], cluster_U[None], values_KU[:, None], is_counted_U[None], **size)
        ), None

    parts = _cut(labels_MBT), _cut(cluster_BT), _cut(values_KBT), _cut(is_counted_BT)
    here, _ = jax.lax.scan(add, here, parts)
    return jax.tree.map(lambda x_NC, new_GC: x_NC.at[..., rows_G, :].set(new_GC, mode="drop"), held, here)


def _cut(x_BT):
    """[... B T] as parts [P ... U] of at most TOKENS tokens; what fills up the last is nobody's."""
    flat = x_BT.reshape(*x_BT.shape[:-2], -1)
    size = min(flat.shape[-1], TOKENS)
    flat = jnp.pad(flat, [*[(0, 0)] * (flat.ndim - 1), (0, -flat.shape[-1] % size)])
    return jnp.moveaxis(flat.reshape(*flat.shape[:-1], -1, size), -2, 0)
