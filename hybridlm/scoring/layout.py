"""The order in which a scorer visits the vocabulary, so that the mass of static classes costs next to nothing.

Ids that agree in every family of classes are put side by side, DEPTH to a group. The scorer reduces each group once,
and sums over classes then run over groups, of which there are DEPTH times fewer than ids.
"""

import dataclasses
from typing import no_type_check

import jax
import numpy as np
from jaxtyping import Array, Int, Integer

DEPTH = 16
"""Ids of a group: their logits are reduced in the registers of one thread."""


@no_type_check  # trees of its shapes exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each vocabulary id is visited: J groups of R = DEPTH ids in each of S shards of the vocabulary.

    Attributes:
      ids_SRJ: vocabulary ids; the vocabulary's size where a group is not full.
      classes_SFJ: the class, in every family, of the ids of a group.
      classes_VF: the class, in every family, of an id.
      count: how many classes there are over all families (static).
    """

    ids_SRJ: Int[Array | np.ndarray, "S R J"]
    classes_SFJ: Int[Array | np.ndarray, "S F J"]
    classes_VF: Int[Array | np.ndarray, "V F"]
    count: int = dataclasses.field(metadata={"static": True})


def lay_out(vocabulary: int, classes_VF: Integer[np.ndarray, "V F"] | None = None, *, shards: int = 1) -> Layout:
    """The layout of heads with `vocabulary` rows, of which each of `shards` devices holds an equal run.

    `classes_VF` numbers the classes of all families from 0 without reusing a number: families are partitions of the
    vocabulary, and ids that the head never predicts may have any class. Host only: it reads the values.
    """
    classes_VF = np.zeros((vocabulary, 0), np.int32) if classes_VF is None else np.asarray(classes_VF, np.int32)
    _check(vocabulary, classes_VF, shards)
    cell_V = np.unique(classes_VF, axis=0, return_inverse=True)[1] if classes_VF.size else np.zeros(vocabulary, int)
    by_shard = [_groups(ids, cell_V[ids], vocabulary) for ids in np.split(np.arange(vocabulary), shards)]
    most = max(ids_RJ.shape[1] for ids_RJ in by_shard)
    ids_SRJ = np.stack([_widened(ids_RJ, most, vocabulary) for ids_RJ in by_shard])
    first_SJ = np.minimum(ids_SRJ[:, 0], vocabulary - 1)
    return Layout(
        ids_SRJ=ids_SRJ.astype(np.int32),
        classes_SFJ=np.moveaxis(classes_VF[first_SJ], -1, 1),
        classes_VF=classes_VF,
        count=int(classes_VF.max(initial=-1)) + 1,
    )


def _groups(ids, cells, vocabulary):
    """Groups [DEPTH J] of one cell each, ids ascending in a group; filled up with the vocabulary's size."""
    ids = ids[np.argsort(cells, kind="stable")]
    sizes = np.unique(cells, return_counts=True)[1]
    groups = -(-sizes // DEPTH)
    place = np.arange(len(ids)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    column = np.repeat(np.cumsum(groups) - groups, sizes) + place // DEPTH
    ids_RJ = np.full((DEPTH, groups.sum()), vocabulary)
    ids_RJ[place % DEPTH, column] = ids
    return ids_RJ


def _widened(ids_RJ, groups, vocabulary):
    return np.pad(ids_RJ, ((0, 0), (0, groups - ids_RJ.shape[1])), constant_values=vocabulary)


def _check(vocabulary, classes_VF, shards):
    if len(classes_VF) != vocabulary:
        raise ValueError(
            f"the table of classes has {len(classes_VF)} rows, but the head has {vocabulary}; give one row per row of "
            "the head's kernel (ids that pad the vocabulary may have any class, since they are never predicted)."
        )
    if vocabulary % shards:
        raise ValueError(
            f"a vocabulary of {vocabulary} rows does not divide into shards={shards} equal runs; pad the head's kernel "
            "to a multiple (model.vocab_multiple) and declare the new ids as never predicted, or use shards=1."
        )
