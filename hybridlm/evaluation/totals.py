"""The sums of an evaluation, column by column: by split group and label, exactly, whatever the batches and the mesh."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import Column
from hybridlm.evaluation.group_sums import GroupSums
from hybridlm.evaluation.task import Task
from hybridlm.evaluation.unscored import unscored
from hybridlm.evaluation.values import SUMMED, Values

SHARE_UNIT = 2.0**10
"""Shares of a bound are added up in units of this, since some are large; a power of two changes no digit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums of one column over tokens, by split group and label; groups stand in the order of their numbers.

    Attributes:
      nats_NC, tokens_NC. samples_KC: of every Monte-Carlo sample, by label; none where the column is exact.
      details_KNC: of the values SUMMED; none where the column is not detailed.
      gate_NC: of -log of the probability of the label itself; NaN but in families that read the token alone.
      mass_NC: probability of every label, added up over all tokens whatever their own label; NaN as gates are, and
        where a column keeps to the targets of another.
      residual: nats by which values of tokens miss what the estimator itself adds up for whole sequences, which only
        rounding may; NaN for a column on the targets of another.
      bytes: of the text scored. unscored: places of the rows that are not, by reason.
    """

    nats_NC: Float[np.ndarray, "N C"]
    tokens_NC: Int[np.ndarray, "N C"]
    samples_KC: Float[np.ndarray, "K C"]
    details_KNC: Float[np.ndarray, "_ N C"]
    gate_NC: Float[np.ndarray, "N C"]
    mass_NC: Float[np.ndarray, "N C"]
    bytes: int
    residual: float = 0.0
    unscored: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Sums:
    """The totals of all columns, batch by batch."""

    def __init__(self, task: Task, config: EvaluationConfig, found: Sequence[Column]):
        self._task, self._columns = task, found
        labels = len(tasks.label_names(task.tables))
        self._values = GroupSums([1 + len(SUMMED) * column.is_detailed for column in found], labels)
        self._gates = GroupSums([1] * sum(column.is_detailed for column in found), labels)
        self._classes = sum(len(family.labels) for family in task.tables.families[: task.tables.by_token_VF.shape[1]])
        self._masses = GroupSums([self._classes] * sum(map(_has_mass, found)), 1)
        samples = (config.readings[c.reading].samples if c.samples and not c.within else 0 for c in found)
        self._samples = [np.zeros((count, labels)) for count in samples]
        self._bytes, self._whole = np.zeros(len(found), np.int64), np.zeros(len(found))
        self._unscored = [collections.Counter() for _ in found]

    def add(
        self,
        batch: Mapping[str, Int[np.ndarray, "B T"]],
        labels_MBT: Int[Array, "M B T"],
        values: Mapping[str, Values],
        is_counted: Sequence[Bool[Array, "B T"]],
    ) -> None:
        """Adds a batch; only samples, bytes and what is not scored wait for the devices."""
        # padding is no group's, and the first token is never padding
        group_BT = np.where(batch["segment_ids"] > 0, batch["group"], batch["group"][0, 0])
        here = [values[column.reading] for column in self._columns]
        counted = [(_summed(*pair), is_it) for *pair, is_it in zip(self._columns, here, is_counted, strict=True)]
        self._values.add(group_BT, labels_MBT, counted)
        self._add_gates(group_BT, labels_MBT, here, is_counted)
        self._add_masses(group_BT, labels_MBT, here, is_counted)
        lengths_BT = self._task.byte_lengths_V[batch["tokens"]]
        for number, (value, is_it) in enumerate(zip(here, is_counted, strict=True)):
            is_it_BT = np.asarray(is_it)
            if len(self._samples[number]):
                self._samples[number] += np.asarray(value.samples_KC)
            self._whole[number] += np.nan if self._columns[number].within else float(value.total)
            self._bytes[number] += lengths_BT[is_it_BT].sum()
            self._unscored[number].update(unscored(batch, is_it_BT))

    def _add_gates(self, group_BT, labels_MBT, here: Sequence[Values], is_counted) -> None:
        # each token has one gate per family, and counts under its label of that family alone: families lie side by side
        families = self._task.tables.by_token_VF.shape[1]
        labels_1NT = labels_MBT[1 : 1 + families].reshape(1, -1, group_BT.shape[1])
        gates = [
            (value.gate_FBT.reshape(labels_1NT.shape), jnp.tile(is_it, (families, 1)))
            for column, value, is_it in zip(self._columns, here, is_counted, strict=True)
            if column.is_detailed
        ]
        self._gates.add(np.tile(group_BT, (families, 1)), labels_1NT, gates)

    def _add_masses(self, group_BT, labels_MBT, here: Sequence[Values], is_counted) -> None:
        # a scorer leaves out the last classes if no id is of them
        masses = [
            (jnp.pad(value.mass_KBT, [(0, self._classes - len(value.mass_KBT)), (0, 0), (0, 0)]), is_it)
            for column, value, is_it in zip(self._columns, here, is_counted, strict=True)
            if _has_mass(column)
        ]
        self._masses.add(group_BT, jnp.zeros_like(labels_MBT[:1]), masses)

    def read(self) -> tuple[Totals, ...]:
        """The totals in the order of the columns."""
        _, found = self._values.read()
        gates, masses = iter(self._gates.read()[1]), iter(self._masses.read()[1])
        return tuple(
            Totals(
                nats_NC=total_KNC[0] * (SHARE_UNIT if column.samples else 1.0),
                tokens_NC=count_NC,
                samples_KC=samples_KC,
                details_KNC=total_KNC[1:],
                gate_NC=_gate(*next(gates)) if column.is_detailed else np.full(count_NC.shape, np.nan),
                mass_NC=self._mass(*next(masses)) if _has_mass(column) else np.full(count_NC.shape, np.nan),
                bytes=int(size),
                residual=float(total_KNC[0, :, 0].sum() * (SHARE_UNIT if column.samples else 1.0) - whole),
                unscored=dict(why),
            )
            for column, (total_KNC, count_NC), samples_KC, size, whole, why in zip(
                self._columns, found, self._samples, self._bytes, self._whole, self._unscored, strict=True
            )
        )

    def _mass(self, total_KN1, count_N1) -> Float[np.ndarray, "N C"]:
        """Class c is the label c + 1, behind that of all tokens; labels that are no class have none."""
        total_NC = np.full((len(count_N1), len(tasks.label_names(self._task.tables))), np.nan)
        total_NC[:, 1 : 1 + self._classes] = total_KN1[..., 0].T
        return total_NC

    def state(self) -> dict[str, np.ndarray]:
        """All of it as arrays by name."""
        found = {f"values/{name}": array for name, array in self._values.state().items()}
        found |= {f"gates/{name}": array for name, array in self._gates.state().items()}
        found |= {f"masses/{name}": array for name, array in self._masses.state().items()}
        found |= {f"samples/{number}": array for number, array in enumerate(self._samples)}
        reasons = {
            f"unscored/{n}/{why}": np.array(count) for n, of in enumerate(self._unscored) for why, count in of.items()
        }
        return found | reasons | {"bytes": self._bytes, "whole": self._whole}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """What `state` gave; what is added from here on gives the same bits."""
        self._values.restore(_below(state, "values/"))
        self._gates.restore(_below(state, "gates/"))
        self._masses.restore(_below(state, "masses/"))
        self._samples = [state[f"samples/{number}"] for number in range(len(self._samples))]
        self._bytes, self._whole = state["bytes"], state["whole"]
        for number, counts in enumerate(self._unscored):
            counts.update({why: int(count) for why, count in _below(state, f"unscored/{number}/").items()})


def _has_mass(column: Column) -> bool:
    """Is it told of this column how much probability its predictions gave to every class?"""
    return column.is_detailed and not column.within


def _summed(column: Column, value: Values) -> Float[Array, "K B T"]:
    """The values of a column that are added up: nats, and details where one prediction stands behind each."""
    nats_1BT = value.nats_BT[None] * (1 / SHARE_UNIT if column.samples else 1.0)
    return jnp.concatenate([nats_1BT, value.details_KBT[: len(SUMMED)]]) if column.is_detailed else nats_1BT


def _gate(total_1NC, count_NC) -> Float[np.ndarray, "N C"]:
    return np.where(count_NC.any(0), total_1NC[0], np.nan)


def _below(state: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
