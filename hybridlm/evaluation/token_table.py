"""The scored tokens of an evaluation as a published token file, beside it the whole texts of their documents."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Int

import hybridlm
from hybridlm.categories.family import LANGUAGE
from hybridlm.categories.tables import Tables
from hybridlm.data.names import Names
from hybridlm.data.rows import Rows
from hybridlm.evaluation.columns import Column
from hybridlm.evaluation.run import ERROR, SHARE, TOLD, Evaluation
from hybridlm.evaluation.task import Task
from hybridlm.evaluation.windows import SLOT, documents
from hybridlm.reports import token_rows, token_writer
from hybridlm.reports.token_file import Family, Header, Reading

LIKELIEST = TOLD["likeliest"]


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the tokens of all rows stand in their documents, by slot, and the texts.

    Attributes: position_S, byte_start_S. texts: of every document, by its number.
    """

    position_S: Int[np.ndarray, "S"]
    byte_start_S: Int[np.ndarray, "S"]
    texts: Mapping[int, str]


def places(rows: Rows, token_bytes: Sequence[bytes], wanted: Int[np.ndarray, "N"]) -> Places:
    """Of the documents of the wanted numbers, from all rows, since a document may be read in parts."""
    length_V = np.array([len(piece) for piece in token_bytes], np.int64)
    position_S, byte_start_S = np.zeros((2, len(rows) * rows.row_length), np.int32)
    texts, wanted = {}, set(wanted.tolist())
    for found in documents(rows):
        if found.number in wanted:
            ends = np.cumsum(length_V[found.ids])
            position_S[found.slots], byte_start_S[found.slots] = np.arange(len(ends)), ends - length_V[found.ids]
            texts[found.number] = b"".join(map(token_bytes.__getitem__, found.ids.tolist())).decode()
    return Places(position_S, byte_start_S, texts)


def write(
    path: epath.Path,
    task: Task,
    found: Evaluation,
    rows: Rows,
    token_bytes: Sequence[bytes],
    *,
    tokenizer: str,
    checkpoint: str,
    run: Mapping[str, Any],
    shown: Sequence[str] = (),
) -> None:
    """Writes the file, a row group for every batch. `shown` families also get the label of the likeliest token."""
    wanted = functools.reduce(np.union1d, (batch["document"] for batch in found.tokens), np.zeros(0, np.int64))
    where, names = places(rows, token_bytes, wanted), rows.called()
    header = Header(
        readings={column.part.name: _reading(column) for column in found.columns},
        families=_families(task.tables),
        tokenizer=tokenizer,
        checkpoint=checkpoint,
        code=f"hybridlm {hybridlm.__version__}",
        run=dict(run),
    )
    path.with_name(f"{path.stem}.parts").rmtree(missing_ok=True)
    rank_V = 1 + np.argsort(np.argsort(task.unigram_V, kind="stable"))
    with token_writer.TokenWriter(path, header) as writer:
        for batch in found.tokens:
            rows, texts = _rows(batch, found.columns, task, where, names, rank_V)
            writer.write(rows | _likeliest(batch, task, shown), texts)


def _rows(batch, columns: Sequence[Column], task: Task, where: Places, names: Names, rank_V):
    """The rows of a batch, and the texts of its documents."""
    start_N = where.byte_start_S[batch[SLOT]]
    values = {f"score/{column.part.name}": batch[column.part.name] for column in columns}
    values |= _told(batch)
    errors = {f"error/{column.part.name}": f"{ERROR}/{column.part.name}" for column in columns}
    values |= {name: batch[found] for name, found in errors.items() if found in batch}
    kinds = {"correct": bool, "rank": np.int32}
    cast = {name: (values[name], kinds.get(name.partition("/")[0], np.float32)) for name in values}
    facts = {"token": batch["tokens"]} | ({"frequency_rank": rank_V[batch["tokens"]]} if task.has_counts else {})
    here = np.unique(batch["document"]).tolist()
    rows = token_rows.columns(
        {
            "position": where.position_S[batch[SLOT]],
            "byte_start": start_N,
            "byte_end": start_N + task.byte_lengths_V[batch["tokens"]],
        },
        batch["document"],
        batch["group"],
        documents=names.document,
        groups=names.group,
        values={name: (np.nan_to_num(x_N).astype(kind), ~np.isnan(x_N)) for name, (x_N, kind) in cast.items()},
        facts=facts,
        labels={family.name: batch[family.name] for family in task.tables.families},
    )
    return rows, {names.document(number): where.texts[number] for number in here}


def _told(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a batch says of columns beside their values, by `what/column`; a column itself may be called "gate", too."""
    told = {*TOLD.values(), SHARE} - {LIKELIEST}
    return {name: batch[name] for name in batch if "/" in name and name.partition("/")[0] in told}


def _likeliest(batch, task: Task, shown: Sequence[str]) -> dict[str, np.ma.MaskedArray]:
    """The label of the likeliest token under every reading, in the shown families that read the token alone."""
    ids = {name.partition("/")[2]: batch[name] for name in batch if name.startswith(f"{LIKELIEST}/")}
    by_token_VF = np.asarray(task.tables.by_token_VF)
    numbers = {family.name: f for f, family in enumerate(task.tables.families[: by_token_VF.shape[1]])}

    def labels(id_N, family):
        is_missing_N = np.isnan(id_N)
        # an id that only the network has is of no kind that the table knows
        place_N = np.minimum(np.nan_to_num(id_N).astype(np.int64), len(by_token_VF) - 1)
        return np.ma.array(by_token_VF[place_N, numbers[family]].astype(np.int8), mask=is_missing_N)

    wanted = [family for family in shown if family in numbers]
    return {f"{LIKELIEST}/{name}/{family}": labels(id_N, family) for name, id_N in ids.items() for family in wanted}


def _reading(column: Column) -> Reading:
    return Reading(kind=column.part.kind.label, sees=column.part.sees, samples=max(column.samples, 1))


def _families(tables: Tables) -> dict[str, Family]:
    return {
        family.name: Family(
            labels=dict(zip(family.labels, family.definitions, strict=True)),
            question=family.question,
            is_ordered=family.is_ordered,
            is_known_before=family in tables.by_column and family.column == LANGUAGE,
        )
        for family in tables.families
    }
