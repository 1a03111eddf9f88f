"""What rows of text hold, as one record: portions, drops and findings, classes, frequencies, and rows to draw."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int

from hybridlm.categories.tables import Tables
from hybridlm.data.documents import Drops
from hybridlm.data.prepare import EVALUATION
from hybridlm.data.prepared import Prepared
from hybridlm.data.progress import Progress
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.inspection.class_shares import families
from hybridlm.inspection.packed_rows import packed_rows
from hybridlm.inspection.text_counts import Cell, count, tables_of
from hybridlm.reports.inspection import WHOLE, Drop, Frequencies, Part, Portion, Source, Text, spelled


@dataclasses.dataclass(frozen=True)
class Look:
    """Rows, what was left out and noticed on the way to them, and the ids of the whole text if they are a sample."""

    prepared: Prepared
    drops: Mapping[str, Drops]
    findings: tuple[str, ...]
    cells: tuple[Cell, ...] = ()


def look(prepared: Prepared) -> Look:
    """Rows with what their own manifest says."""
    manifest = prepared.manifest
    if EVALUATION in manifest.splits:  # made for scores alone, and never audited
        return Look(prepared, manifest.drops, ("duplicates: these rows were not searched for them",))
    overlaps = [f"{split}: {overlap.line}" for split, overlap in manifest.overlap.items()]
    return Look(prepared, manifest.drops, (manifest.duplicates.line, *overlaps))


def describe(given: Look, progress: Progress) -> tuple[Text, Tables]:
    """The text of all splits, every row read once, and the tables its classes were counted by.

    Frequencies are those of the training split that made the vocabulary, or of the text itself where none did.
    """
    prepared, manifest = given.prepared, given.prepared.manifest
    counts = count(prepared, progress)
    counts = counts._replace(cells=given.cells or counts.cells)
    counts_V = prepared.counts_V if prepared.counts_V.any() else _tokens(counts.cells)
    tables = tables_of(prepared, counts_V)
    text = Text(
        facts=_facts(prepared),
        findings=given.findings,
        sources=tuple(Source(source.called, source.language, source.licence) for source in manifest.sources),
        portions=(*_of_cells(prepared, given.cells), *_of_splits(prepared, counts.labelled)),
        drops=tuple(Drop(reason, drop.documents, drop.bytes, drop.sample) for reason, drop in given.drops.items()),
        families=families(tables, counts, manifest.domains, _spellings(prepared.tokenizer)),
        frequencies=_frequencies(tables, counts_V),
        rows=packed_rows(prepared),
    )
    return text, tables


def _of_splits(prepared: Prepared, cells: Sequence[Cell]) -> Iterator[Portion]:
    """Every split and its sources, as the manifest has them, and the domains it holds."""
    for name, split in prepared.manifest.splits.items():
        here = [cell for cell in cells if cell.split == name]
        yield Portion(name, WHOLE, split.documents, split.groups, split.tokens["text"], split.text_bytes, split.fill)
        for portion in split.portions:
            groups = _groups(cell for cell in here if cell.source == portion.source)
            fill = 1 - portion.tokens["padding"] / max(1, sum(portion.tokens.values()))
            said = (portion.documents, groups, portion.tokens["text"], portion.text_bytes, fill)
            yield Portion(name, Part(source=portion.source), *said)
        yield from _domains(prepared, here)


def _of_cells(prepared: Prepared, cells: Sequence[Cell]) -> Iterator[Portion]:
    """Text that is in no rows, and its domains."""
    if cells:
        yield _portion(prepared, cells, WHOLE)
        yield from _domains(prepared, cells)


def _domains(prepared: Prepared, cells: Sequence[Cell]) -> Iterator[Portion]:
    for domain, found in itertools.groupby(sorted(cells, key=_domain), _domain):
        yield _portion(prepared, list(found), Part(domain=prepared.manifest.domains[domain]))


def _portion(prepared: Prepared, cells: Sequence[Cell], part: Part) -> Portion:
    bytes_V, tokens_V = prepared.tokenizer.byte_lengths.astype(np.int64), _tokens(cells)
    text = int(tokens_V[bytes_V > 0].sum()), int(tokens_V @ bytes_V)
    return Portion(cells[0].split, part, sum(cell.documents for cell in cells), _groups(cells), *text)


def _tokens(cells: Sequence[Cell]) -> Int[np.ndarray, "V"]:
    return np.sum([cell.tokens_V for cell in cells], axis=0)


def _domain(cell: Cell) -> int:
    return cell.domain


def _groups(cells: Iterable[Cell]) -> int:
    return len(np.unique(np.concatenate([cell.groups for cell in cells])))


def _spellings(tokenizer: Tokenizer) -> list[str]:
    """Every id for the eye; special ones by their role."""
    roles = {getattr(tokenizer, role): f"⟨{role}⟩" for role in ("pad", "bos", "eos", "mask")}
    return [roles.get(n) or spelled(token) for n, token in enumerate(tokenizer.token_bytes)]


def _frequencies(tables: Tables, counts_V: np.ndarray) -> Frequencies:
    """Counts in falling order, each with its band by rank."""
    number = [family.name for family in tables.families].index("frequency_rank")
    order = np.argsort(-counts_V, stable=True)[: np.count_nonzero(counts_V)]
    bands = tuple(label for label in tables.families[number].labels if label != "unseen")
    return Frequencies(counts_V[order], tables.by_token_VF[order, number].astype(np.int64), bands)


def _facts(prepared: Prepared) -> dict[str, object]:
    manifest, tokenizer = prepared.manifest, prepared.tokenizer
    return {
        "tokenizer": f"{tokenizer.vocab_size:,} ids; SHA-256 {tokenizer.sha256[:16]}",
        "row length": manifest.row_length,
        "rows": ", ".join(f"{split} {record.rows:,}" for split, record in manifest.splits.items()),
        "columns": ", ".join(dict.fromkeys(name for split in manifest.splits.values() for name in split.columns)),
        "fingerprint": manifest.fingerprint[:16],
    }
