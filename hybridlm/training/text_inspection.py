"""What prepared rows hold, from one pass over them: how often each id stands in each domain, in words of each band.

Every family's label follows from domain, word band and id, so all distributions are sums of that one count.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from hybridlm import masks
from hybridlm.categories.tables import Tables, build, check_columns
from hybridlm.data.manifest import Split
from hybridlm.data.prepared import Prepared
from hybridlm.data.progress import Progress
from hybridlm.data.rows import Columns, Rows
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.facts.tokens import from_columns
from hybridlm.reports.inspection import ALL, Drop, Family, Frequencies, Label, PackedRow, Portion, Text, Token, spelled

TOKENS_AT_ONCE = 1 << 20
EXAMPLES, DRAWN_ROWS, DRAWN_TOKENS = 5, 4, 128
"""Tokens shown for each label; rows drawn, and the most tokens drawn of each."""

CHOSEN_FROM = 256
"""Rows among which those to draw are chosen."""

_AXES = {"language": 0, "word_band": 1}


class Counts(NamedTuple):
    """Predicted tokens (text and ends of documents) by domain, word band and id; documents and groups by domain."""

    tokens_DWV: Int[np.ndarray, "D W V"]
    documents_D: Int[np.ndarray, "D"]
    groups_D: Int[np.ndarray, "D"]


def describe(prepared: Prepared, progress: Progress) -> Text:
    """The text of all splits; reads every row once."""
    manifest, tokenizer = prepared.manifest, prepared.tokenizer
    tables = tables_of(prepared)
    total_DWV, portions = np.zeros(_shape(tables), np.int64), []
    for name, split in manifest.splits.items():
        rows = prepared.rows(name)
        with progress(f"counting {name}", len(rows) * rows.row_length) as advance:
            counts = count(rows, tables, advance)
        portions += _portions(name, split, manifest.domains, counts, tokenizer.byte_lengths)
        total_DWV += counts.tokens_DWV
    return Text(
        facts=_facts(prepared),
        portions=tuple(portions),
        drops=tuple(Drop(reason, drop.documents, drop.bytes, drop.sample) for reason, drop in manifest.drops.items()),
        families=families(tables, total_DWV, manifest.domains, _spellings(tokenizer)),
        frequencies=_frequencies(tables, prepared.counts_V),
        rows=_packed(example_rows(prepared)),
    )


def tables_of(prepared: Prepared) -> Tables:
    """The label tables of the rows, with the families that read a column."""
    tokenizer = prepared.tokenizer
    special = {role: getattr(tokenizer, role) for role in ("pad", "bos", "eos", "mask")}
    return build(tokenizer.token_bytes, prepared.counts_V, special, prepared.manifest.domains, columns=_AXES)


def _shape(tables: Tables) -> tuple[int, int, int]:
    by_column = {family.column: len(family.labels) for family in tables.by_column}
    return by_column["language"], by_column["word_band"], len(tables.by_token_VF)


def count(rows: Rows, tables: Tables, advance: Callable[[int], None]) -> Counts:
    """Counts the rows of a split; raises where a record is damaged or a column holds a value that is no label."""
    shape = _shape(tables)
    tokens, documents, groups = np.zeros(np.prod(shape), np.int64), [], []
    step = max(1, TOKENS_AT_ONCE // rows.row_length)
    for first in range(0, len(rows), step):
        columns = rows.read(range(first, min(first + step, len(rows))))
        check_columns(tables, columns)
        is_token_BT = columns["segment_ids"] > 0
        is_predicted_BT = is_token_BT & (columns["positions"] > 0)
        place = [columns[name][is_predicted_BT] for name in (*_AXES, "tokens")]
        tokens += np.bincount(np.ravel_multi_index(place, shape), minlength=tokens.size)
        opens_BT = is_token_BT & ~is_predicted_BT
        documents.append(_distinct(columns["language"][opens_BT], columns["document"][opens_BT]))
        groups.append(_distinct(columns["language"][opens_BT], columns["group"][opens_BT]))
        advance(columns["tokens"].size)
    return Counts(tokens.reshape(shape), _per_domain(documents, shape[0]), _per_domain(groups, shape[0]))


def _distinct(language: np.ndarray, number: np.ndarray) -> np.ndarray:
    return np.unique(language.astype(np.int64) << 32 | number)


def _per_domain(found: list[np.ndarray], domains: int) -> np.ndarray:
    return np.bincount(np.unique(np.concatenate(found)) >> 32, minlength=domains)


def _portions(name: str, split: Split, domains: tuple[str, ...], counts: Counts, bytes_V: np.ndarray) -> list[Portion]:
    """The split as a whole, as its manifest has it, then every domain it holds, as counted."""
    tokens_DV = counts.tokens_DWV.sum(1)
    text_D, bytes_D = tokens_DV @ (bytes_V > 0), tokens_DV @ bytes_V.astype(np.int64)
    whole = Portion(name, ALL, split.documents, split.groups, split.tokens["text"], split.text_bytes, split.fill)
    per_domain = zip(domains, *(column.tolist() for column in (counts.documents_D, counts.groups_D, text_D, bytes_D)))
    return [whole, *(Portion(name, *numbers) for numbers in per_domain if numbers[1])]


def families(
    tables: Tables, counts_DWV: Int[np.ndarray, "D W V"], domains: tuple[str, ...], spellings: list[str]
) -> tuple[Family, ...]:
    """The distribution of every family over its labels, in all domains that have tokens, with examples of each."""
    is_there_D, found = counts_DWV.any((1, 2)).tolist(), []
    for number, family in enumerate(tables.families):
        label_DWV = _labels(tables, number)
        labels = []
        for index, (name, definition) in enumerate(zip(family.labels, family.definitions, strict=True)):
            here_DWV = np.where(label_DWV == index, counts_DWV, 0)
            tokens_D, tokens_V = here_DWV.sum((1, 2)).tolist(), here_DWV.sum((0, 1))
            by_domain = {domain: tokens for domain, tokens, there in zip(domains, tokens_D, is_there_D) if there}
            labels.append(Label(name, definition, {ALL: sum(tokens_D)} | by_domain, *_examples(tokens_V, spellings)))
        found.append(Family(family.name, family.question, tuple(labels)))
    return tuple(found)


def _labels(tables: Tables, number: int) -> np.ndarray:
    """The label index of a family, of a shape that broadcasts to domains, bands and ids."""
    by_token, by_language = tables.by_token_VF.shape[-1], tables.by_language_NVF.shape[-1]
    if number < by_token:
        return tables.by_token_VF[None, None, :, number]
    if number < by_token + by_language:
        return tables.by_language_NVF[:, None, :, number - by_token]
    axis = _AXES[tables.families[number].column]
    others = [other for other in range(3) if other != axis]
    return np.expand_dims(np.arange(_shape(tables)[axis]), others)


def _examples(tokens_V: np.ndarray, spellings: list[str]) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """The most frequent tokens, and of the others the rarest that occur."""
    order = np.argsort(-tokens_V, stable=True)[: np.count_nonzero(tokens_V)].tolist()
    frequent, rarest = order[:EXAMPLES], order[EXAMPLES:][::-1][:EXAMPLES]
    return tuple(tuple(Token(spellings[n], int(tokens_V[n])) for n in part) for part in (frequent, rarest))


def _spellings(tokenizer: Tokenizer) -> list[str]:
    """Every id for the eye; special ones by their role."""
    roles = {getattr(tokenizer, role): f"⟨{role}⟩" for role in ("pad", "bos", "eos", "mask")}
    return [roles.get(n) or spelled(token) for n, token in enumerate(tokenizer.token_bytes)]


def _frequencies(tables: Tables, counts_V: np.ndarray) -> Frequencies:
    """Counts in falling order, each with its quarter of the training text."""
    number = [family.name for family in tables.families].index("frequency_mass")
    order = np.argsort(-counts_V, stable=True)[: np.count_nonzero(counts_V)]
    bands = tables.families[number].labels
    return Frequencies(counts_V[order], tables.by_token_VF[order, number].astype(np.int64), bands)


def example_rows(prepared: Prepared) -> Columns:
    """The first rows of the training split, or of the first there is."""
    splits = prepared.manifest.splits
    rows = prepared.rows("train" if "train" in splits else next(iter(splits)))
    return rows.read(range(min(CHOSEN_FROM, len(rows))))


def busiest(columns: Columns, rows: int, width: int) -> Int[np.ndarray, "N"]:
    """Numbers of the rows with the most documents among their first `width` tokens."""
    documents_B = columns["segment_ids"][:, :width].max(axis=1)
    return np.argsort(-documents_B, stable=True)[:rows]


def _packed(columns: Columns) -> tuple[PackedRow, ...]:
    return tuple(_packed_row(columns, int(n)) for n in busiest(columns, DRAWN_ROWS, columns["tokens"].shape[1]))


def _packed_row(columns: Columns, number: int) -> PackedRow:
    stride = -(-columns["tokens"].shape[1] // DRAWN_TOKENS)
    segment_T, position_T = (columns[name][number] for name in ("segment_ids", "positions"))
    facts = from_columns(segment_T[None, ::stride], position_T[None, ::stride])
    is_visible_TT = np.asarray(masks.materialize(masks.unified(), facts)[0])
    documents = int(segment_T.max())
    title = f"row {number}: {documents} document{'s' if documents > 1 else ''}"
    return PackedRow(title, segment_T[::stride], is_visible_TT, stride)


def _facts(prepared: Prepared) -> dict[str, object]:
    manifest, tokenizer = prepared.manifest, prepared.tokenizer
    return {
        "sources": ", ".join(source.called for source in manifest.sources),
        "tokenizer": f"{tokenizer.vocab_size:,} ids; SHA-256 {tokenizer.sha256[:16]}",
        "row length": manifest.row_length,
        "rows": ", ".join(f"{split} {record.rows:,}" for split, record in manifest.splits.items()),
        "columns": ", ".join(manifest.columns),
        "fingerprint": manifest.fingerprint[:16],
    }
