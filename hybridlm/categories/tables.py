"""All families of a run as a few int8 tables, and the one device function that reads them.

Every label of every family has one flat number, its family's offset plus its own index, so that category sums are a
single segment sum. The tables are a pytree: pass them as an argument of a jitted step, never close over them.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int8

from hybridlm.categories import registry
from hybridlm.categories.family import LANGUAGE, Family, labels_of
from hybridlm.categories.vocabulary import Vocabulary, of_tokenizer
from hybridlm.config.errors import require


@dataclasses.dataclass(frozen=True)
class Partition:
    """A family as tables hold it: its labels are settled, and no function is left in it."""

    name: str
    question: str
    labels: tuple[str, ...]
    definitions: tuple[str, ...]
    column: str | None
    source: str
    is_ordered: bool


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Tables:
    """Attributes:
    by_token_VF: index of the label of every id, for the families that read the token alone.
    by_language_NVF: the same for every domain, for the families that also read the language of the document.
    families: all of them in flat order: by token, by token and language, by column (static).
    """

    by_token_VF: Int8[Array | np.ndarray, "V F"]
    by_language_NVF: Int8[Array | np.ndarray, "N V G"]
    families: tuple[Partition, ...] = dataclasses.field(metadata={"static": True})

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """(family, label) of every flat label."""
        return tuple((family.name, label) for family in self.families for label in family.labels)

    @property
    def offsets(self) -> tuple[int, ...]:
        """The flat number of each family's first label."""
        return tuple(np.cumsum([0, *(len(family.labels) for family in self.families[:-1])]).tolist())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a batch that `flat_labels` reads."""
        return tuple(dict.fromkeys(family.column for family in self.families if family.column))

    @property
    def by_column(self) -> tuple[Partition, ...]:
        """The families whose label is itself a column of the batch."""
        return self.families[self.by_token_VF.shape[-1] + self.by_language_NVF.shape[-1] :]


def build(
    token_bytes: Sequence[bytes],
    counts_V: Int[np.ndarray, "V"],
    special_ids: Mapping[str, int],
    domains: Sequence[str] = (),
    *,
    columns: Collection[str] = ("word_band", LANGUAGE),
    families: Sequence[Family] | None = None,
) -> Tables:
    """Tables of all families that a batch with these columns can be labelled by; the others are left out. Which they
    choose among is `registry.families()` unless `families` are given.

    Raises ConfigError if the batch has a language column and `domains` does not name its values.
    """
    require(
        LANGUAGE not in columns or len(domains) > 0,
        f"columns={sorted(columns)} has {LANGUAGE!r}, but `domains` is empty, so that nothing names its values; "
        f"pass the domain names of the data in the order of the column, or leave {LANGUAGE!r} out of `columns`.",
    )
    vocabulary = of_tokenizer(token_bytes, counts_V, special_ids, domains)
    known = registry.families() if families is None else families
    usable = [family for family in known if family.column is None or family.column in columns]
    by_token = [family for family in usable if family.assign and not family.column]
    by_language = [family for family in usable if family.assign and family.column]
    by_column = [family for family in usable if not family.assign]
    return Tables(
        by_token_VF=_table(by_token, vocabulary, (len(vocabulary.tokens),)),
        by_language_NVF=_table(by_language, vocabulary, (len(domains), len(vocabulary.tokens))),
        families=tuple(_partition(family, vocabulary) for family in (*by_token, *by_language, *by_column)),
    )


def _partition(family: Family, vocabulary: Vocabulary) -> Partition:
    labels = labels_of(family, vocabulary)
    return Partition(
        name=family.name,
        question=family.question,
        labels=tuple(labels),
        definitions=tuple(labels.values()),
        column=family.column,
        source=family.source,
        is_ordered=family.is_ordered,
    )


def _table(families: Sequence[Family], vocabulary: Vocabulary, shape: tuple[int, ...]) -> np.ndarray:
    """int8 label indices, families last, so that all labels of a token lie side by side in memory."""
    table = np.empty((*shape, len(families)), np.int8)
    for place, family in enumerate(families):
        index = {label: number for number, label in enumerate(labels_of(family, vocabulary))}
        names = np.asarray(family.assign(vocabulary), object).reshape(shape)
        unknown = sorted({str(name) for name in names.flat} - set(index))
        require(
            not unknown,
            f"family {family.name!r} gave the labels {unknown}, which it does not declare; known are {list(index)}.",
        )
        table[..., place] = np.vectorize(index.__getitem__, otypes=[np.int8])(names) if names.size else 0
    return table


def flat_labels(
    tables: Tables, targets_BT: Int[Array, "B T"], columns: Mapping[str, Int[Array, "B T"]]
) -> Int[Array, "M B T"]:
    """The flat label of every target in every family; jit-able.

    `columns` belong to the target tokens, not to the positions that predict them: gather by `target_index_BT` first.
    Column values outside their labels are read as the nearest one; `check_columns` refuses them on the host.
    """
    parts_BTM = [jnp.asarray(tables.by_token_VF)[targets_BT]]
    if tables.by_language_NVF.shape[-1]:
        language_BT = jnp.clip(columns[LANGUAGE], 0, len(tables.by_language_NVF) - 1)
        parts_BTM.append(jnp.asarray(tables.by_language_NVF)[language_BT, targets_BT])
    for family in tables.by_column:
        parts_BTM.append(jnp.clip(columns[family.column], 0, len(family.labels) - 1)[..., None])
    index_BTM = jnp.concatenate([part.astype(jnp.int32) for part in parts_BTM], axis=-1)
    offset_11M = jnp.asarray(tables.offsets, jnp.int32)[None, None]
    return jnp.moveaxis(index_BTM + offset_11M, -1, 0)


def by_family(tables: Tables, flat_MBT: Int[Array, "M B T"]) -> dict[str, Int[Array, "B T"]]:
    """Family -> label indices, as filters read them, from flat labels; jit-able."""
    return {
        family.name: flat_BT - offset
        for family, offset, flat_BT in zip(tables.families, tables.offsets, flat_MBT, strict=True)
    }


def check_columns(tables: Tables, columns: Mapping[str, Int[np.ndarray, "B T"]]) -> None:
    """Raises ConfigError if a column is missing or holds a value that is no label. Host only: it reads the values."""
    for family in tables.by_column:
        require(
            family.column in columns,
            f"family {family.name!r} reads the column {family.column!r}, and the batch has only {sorted(columns)}; "
            "build the tables with the columns that the batch has.",
        )
        values = np.asarray(columns[family.column])
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        require(
            low >= 0 and high < len(family.labels),
            f"column {family.column!r} must hold 0 to {len(family.labels) - 1}, the index of a label of "
            f"{family.name!r}, but it spans {low} to {high}; were the rows prepared with other labels or domains?",
        )


def describe(tables: Tables) -> dict:
    """What a score file records of the labels it used: every definition, and a hash of definitions and tables."""
    families = {
        family.name: {
            "question": family.question,
            "source": family.source,
            "column": family.column,
            "labels": dict(zip(family.labels, family.definitions, strict=True)),
        }
        for family in tables.families
    }
    return {"families": families, "fingerprint": _fingerprint(tables, families)}


def _fingerprint(tables: Tables, families: dict) -> str:
    digest = hashlib.sha256(json.dumps(families).encode())
    for table in (tables.by_token_VF, tables.by_language_NVF):
        digest.update(np.ascontiguousarray(table).tobytes())
    return digest.hexdigest()[:16]
