"""How often each id stands in a text, and each label of a column in its rows, by split, source and domain.

The label of every family follows from domain, id and columns, so all distributions are sums of these counts.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from hybridlm.categories import registry
from hybridlm.categories.family import LANGUAGE, Family
from hybridlm.categories.tables import Tables, build, check_columns
from hybridlm.data.documents import Document, Entry
from hybridlm.data.prepared import Prepared
from hybridlm.data.progress import Progress
from hybridlm.data.rows import Columns, Rows
from hybridlm.data.tokenizer import Tokenizer

TOKENS_AT_ONCE = BYTES_AT_ONCE = 1 << 20


class Cell(NamedTuple):
    """What one source has of one domain in one split; a token is predicted where it is text or ends a document.

    Attributes:
      groups: their numbers. tokens_V: predicted tokens by id. labels: family of a column -> predicted tokens by label.
    """

    split: str
    source: str
    domain: int
    documents: int
    groups: Int[np.ndarray, "G"]
    tokens_V: Int[np.ndarray, "V"]
    labels: dict[str, Int[np.ndarray, "L"]]


class Counts(NamedTuple):
    """Cells in which ids were counted, those in which labels of columns were, and how often these fall on each id."""

    cells: tuple[Cell, ...]
    labelled: tuple[Cell, ...]
    by_id: dict[str, Int[np.ndarray, "L V"]]


def tables_of(prepared: Prepared, counts_V: Int[np.ndarray, "V"]) -> Tables:
    """The tables of all families of the vocabulary, and of those that a column of any split has."""
    own = _of_columns(prepared)
    return _build(prepared, counts_V, (*own, *(known for known in registry.families() if known.assign)))


def within(tables: Tables, rows: Rows) -> Tables:
    """The tables without the families whose column these rows lack: held-out rows may have more labels than others."""
    kept = tuple(family for family in tables.families if family.column is None or family.column in rows.names)
    return dataclasses.replace(tables, families=kept)


def count(prepared: Prepared, progress: Progress) -> Counts:
    """Counts the rows of all splits; raises where a record is damaged or a column holds a value that is no label."""
    tables = _build(prepared, prepared.counts_V, _of_columns(prepared))
    size, domains = prepared.tokenizer.vocab_size, len(prepared.manifest.domains)
    by_id = {name: np.zeros((len(told["labels"]), size), np.int64) for name, told in prepared.manifest.labels.items()}
    cells = []
    for split in prepared.manifest.splits:
        rows = prepared.rows(split)
        with progress(f"counting {split}", len(rows) * rows.row_length) as advance:
            for source, place in rows.ranges.items():
                tokens_DV = np.zeros((domains, size), np.int64)
                found = blocks(rows, *place, advance)
                cells += _cells(split, source, found, within(tables, rows), tokens_DV, by_id)
    return Counts(tuple(cells), tuple(cells), by_id)


def count_documents(
    documents: Iterable[tuple[Entry, Document]],
    split: str,
    source: str,
    domains: Sequence[str],
    tokenizer: Tokenizer,
    advance: Callable[[int], None],
) -> tuple[Cell, ...]:
    """The cells of documents that need not become rows: their ids alone, and no labels; `advance` is told the bytes."""
    tokens_DV, entries = np.zeros((len(domains), tokenizer.vocab_size), np.int64), []
    number_of = {domain: number for number, domain in enumerate(domains)}
    for batch in _batches(documents):
        ids = [np.append(found, tokenizer.eos) for found in _ids([document for _, document in batch], tokenizer)]
        domain_N = [number_of[entry.domain] for entry, _ in batch]
        _add(tokens_DV, np.repeat(domain_N, [len(found) for found in ids]), np.concatenate(ids))
        entries += [entry for entry, _ in batch]
        advance(sum(entry.bytes for entry, _ in batch))
    group_ids = {group: number for number, group in enumerate(dict.fromkeys(entry.group for entry in entries))}
    cells = []
    for domain, found in itertools.groupby(sorted(entries, key=_domain), _domain):
        here, number = list(found), number_of[domain]
        groups = np.unique([group_ids[entry.group] for entry in here])
        cells.append(Cell(split, source, number, len(here), groups, tokens_DV[number], {}))
    return tuple(cells)


def _domain(entry: Entry) -> str:
    return entry.domain


def _batches(documents: Iterable[tuple[Entry, Document]]) -> Iterator[list[tuple[Entry, Document]]]:
    """All documents, about a million bytes at a time."""
    batch, size = [], 0
    for entry, document in documents:
        batch.append((entry, document))
        size += entry.bytes
        if size > BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ids(documents: Sequence[Document], tokenizer: Tokenizer) -> Iterator[Int[np.ndarray, "T"]]:
    """The ids of every document: those it came with, or those of its text."""
    encoded = iter(tokenizer.encode_batch([document.text for document in documents if document.ids is None]))
    return (next(encoded) if document.ids is None else document.ids for document in documents)


def _of_columns(prepared: Prepared) -> list[Family]:
    """The families whose labels are columns, as the manifest says, whoever registered them, and the domain."""
    said = prepared.manifest.labels
    domain = [known for known in registry.families() if known.column == LANGUAGE and not known.assign]
    return [Family(name=name, column=name, **told) for name, told in said.items()] + domain


def _build(prepared: Prepared, counts_V: Int[np.ndarray, "V"], families: Sequence[Family]) -> Tables:
    tokenizer, manifest = prepared.tokenizer, prepared.manifest
    special = {role: getattr(tokenizer, role) for role in ("pad", "bos", "eos", "mask")}
    columns = {name for split in manifest.splits.values() for name in split.columns}
    return build(tokenizer.token_bytes, counts_V, special, manifest.domains, columns=columns, families=families)


def blocks(rows: Rows, first: int, stop: int, advance: Callable[[int], None]) -> Iterator[Columns]:
    """The columns of rows first to stop - 1, about a million tokens at a time; `advance` is told the tokens."""
    step = max(1, TOKENS_AT_ONCE // rows.row_length)
    for begin in range(first, stop, step):
        columns = rows.read(range(begin, min(begin + step, stop)))
        yield columns
        advance(columns["tokens"].size)


def is_predicted(columns: Columns) -> Bool[np.ndarray, "B T"]:
    """Text and ends of documents: what a model predicts."""
    return (columns["segment_ids"] > 0) & (columns["positions"] > 0)


def _cells(split: str, source: str, found: Iterator[Columns], tables: Tables, tokens_DV, by_id) -> list[Cell]:
    """The cells of one source, whose columns are `found`; adds its tokens to `tokens_DV` and `by_id`, all zero yet or
    of other sources."""
    labels = {f.name: np.zeros((len(tokens_DV), len(f.labels)), np.int64) for f in tables.families if f.name in by_id}
    opened = {"document": [], "group": []}
    for columns in found:
        check_columns(tables, columns)
        is_predicted_BT = is_predicted(columns)
        token_N, domain_N = columns["tokens"][is_predicted_BT], columns[LANGUAGE][is_predicted_BT]
        _add(tokens_DV, domain_N, token_N)
        for name, label_DL in labels.items():
            label_N = columns[name][is_predicted_BT]
            _add(label_DL, domain_N, label_N)
            _add(by_id[name], label_N, token_N)
        opens_BT = (columns["segment_ids"] > 0) & ~is_predicted_BT
        for name, seen in opened.items():
            seen.append(np.unique(columns[LANGUAGE][opens_BT].astype(np.int64) << 32 | columns[name][opens_BT]))
    documents_D, groups_D = (_by_domain(seen, len(tokens_DV)) for seen in opened.values())
    return [
        Cell(split, source, d, len(documents_D[d]), groups_D[d], tokens_DV[d], {n: DL[d] for n, DL in labels.items()})
        for d in range(len(tokens_DV))
        if tokens_DV[d].any()
    ]


def _add(total_RC: Int[np.ndarray, "R C"], row_N: np.ndarray, column_N: np.ndarray) -> None:
    place_N = row_N.astype(np.int64) * total_RC.shape[1] + column_N
    total_RC += np.bincount(place_N, minlength=total_RC.size).reshape(total_RC.shape)


def _by_domain(seen: list[np.ndarray], domains: int) -> list[np.ndarray]:
    """The different numbers in each domain."""
    every = np.unique(np.concatenate(seen)) if seen else np.empty(0, np.int64)
    return np.split(every & (1 << 32) - 1, np.searchsorted(every >> 32, np.arange(1, domains)))
