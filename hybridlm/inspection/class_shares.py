"""The distribution of every family over its labels, by source and domain, from counts of ids and columns."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from hybridlm.categories.tables import Tables
from hybridlm.inspection.text_counts import Cell, Counts
from hybridlm.reports.inspection import WHOLE, Family, Label, Part, Token

EXAMPLES = 5
"""Tokens shown for each label, at either end."""


def families(tables: Tables, counts: Counts, domains: Sequence[str], spellings: Sequence[str]) -> tuple[Family, ...]:
    """The distribution of every family over its labels, in every source and domain, with examples of each label."""
    found = []
    for number, family in enumerate(tables.families):
        cells = _cells(counts, family.name)
        tokens = _by_part(cells, [_labels(tables, number, cell) for cell in cells], domains)
        by_id_LV = _by_id(tables, number, counts)
        labels = [
            Label(
                name,
                definition,
                {part: int(tokens_L[index]) for part, tokens_L in tokens.items()},
                *_examples(by_id_LV[index], spellings),
            )
            for index, (name, definition) in enumerate(zip(family.labels, family.definitions, strict=True))
        ]
        splits = tuple(dict.fromkeys(cell.split for cell in cells)) if family.name in counts.by_id else ()
        found.append(Family(family.name, family.question, tuple(labels), splits))
    return tuple(found)


def _cells(counts: Counts, family: str) -> Sequence[Cell]:
    """The cells in which a family was counted."""
    if family not in counts.by_id:
        return counts.cells
    return [cell for cell in counts.labelled if family in cell.labels]


def _by_part(cells: Sequence[Cell], of_cells: Sequence[np.ndarray], domains: Sequence[str]) -> dict[Part, np.ndarray]:
    """The sums over the cells of everything, of every source, and of every domain, these in their order."""
    parts = {WHOLE: np.sum(of_cells, axis=0)}
    for cell, values in zip(cells, of_cells, strict=True):
        source = Part(source=cell.source)
        parts[source] = parts.get(source, 0) + values
    for domain in sorted({cell.domain for cell in cells}):
        here = [values for cell, values in zip(cells, of_cells) if cell.domain == domain]
        parts[Part(domain=domains[domain])] = np.sum(here, axis=0)
    return parts


def _labels(tables: Tables, number: int, cell: Cell) -> Int[np.ndarray, "L"]:
    """How many of a cell's tokens have each label of a family."""
    family = tables.families[number]
    if family.name in cell.labels:
        return cell.labels[family.name]
    weighed = np.bincount(_table(tables, number, cell.domain), cell.tokens_V, minlength=len(family.labels))
    return weighed.astype(np.int64)


def _by_id(tables: Tables, number: int, counts: Counts) -> Int[np.ndarray, "L V"]:
    """How often the labels of a family fall on each id."""
    family = tables.families[number]
    if family.name in counts.by_id:
        return counts.by_id[family.name]
    by_id_LV = np.zeros((len(family.labels), len(tables.by_token_VF)), np.int64)
    for cell in counts.cells:
        by_id_LV[_table(tables, number, cell.domain), np.arange(by_id_LV.shape[1])] += cell.tokens_V
    return by_id_LV


def _table(tables: Tables, number: int, domain: int) -> Int[np.ndarray, "V"]:
    """The label of every id in a domain, of a family without a column of its own."""
    by_token, by_language = tables.by_token_VF.shape[-1], tables.by_language_NVF.shape[-1]
    if number < by_token:
        return tables.by_token_VF[:, number]
    if number < by_token + by_language:
        return tables.by_language_NVF[domain, :, number - by_token]
    return np.full(len(tables.by_token_VF), domain)


def _examples(tokens_V: np.ndarray, spellings: Sequence[str]) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """The most frequent tokens, and of the others the rarest that occur."""
    order = np.argsort(-tokens_V, stable=True)[: np.count_nonzero(tokens_V)].tolist()
    frequent, rarest = order[:EXAMPLES], order[EXAMPLES:][::-1][:EXAMPLES]
    return tuple(tuple(Token(spellings[n], int(tokens_V[n])) for n in part) for part in (frequent, rarest))
