"""Scores as a reader takes them in: one block per family, one line per label, readings side by side, with marks.

A reading is held against the baseline and against its peers only where the comparison is fair: the baseline must have
scored the same targets, and peers must be of the same kind besides.
"""

import dataclasses
import re
from collections.abc import Mapping

from hybridlm.facts.kinds import ScoreKind
from hybridlm.reports.scores import ALL, Column, Row, Scores
from hybridlm.statistics.intervals import FEW

BOLD = (
    f"the lowest of its kind on the same targets, if its whole interval lies below theirs, on {FEW} groups or more. "
    "Shares of a bound are compared in total alone. `hybridlm compare` tells smaller differences from chance."
)
"""What bold means, wherever scores are shown."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number of a table with the marks it has earned beside the other readings.

    Attributes:
      is_best: its interval lies below those of all other readings of its kind and targets, and is of enough groups.
      loses: no better than the baseline; None if there is none.
        By category, shares of a bound are neither: they move cost between tokens, and only their total is a bound.
      is_few: whether its interval rests on few groups.
    """

    row: Row
    is_best: bool
    loses: bool | None
    is_few: bool


@dataclasses.dataclass(frozen=True)
class Line:
    """A label, how many tokens bear it (the most over columns, whose targets may differ), and its cells by column."""

    label: str
    definition: str
    tokens: int
    share: float
    cells: Mapping[str, Cell]


@dataclasses.dataclass(frozen=True)
class Block:
    """A family and the lines of its labels."""

    family: str
    question: str
    lines: tuple[Line, ...]

    def has_gate(self, column: str) -> bool:
        """Are its labels classes of ids, whose probability the column tells?"""
        return any(column in line.cells and line.cells[column].row.gate is not None for line in self.lines)


def ordered(scores: Scores) -> tuple[Column, ...]:
    """Columns with equal targets together, and within them equal kinds, baseline first; otherwise as they came."""
    targets = list(dict.fromkeys(column.targets for column in scores.columns))
    kinds = list(dict.fromkeys(column.kind for column in scores.columns))
    return tuple(
        sorted(
            scores.columns,
            key=lambda column: (targets.index(column.targets), kinds.index(column.kind), not column.is_baseline),
        )
    )


def baseline_of(scores: Scores, column: Column) -> Column | None:
    """What the column is held against: the baseline on the same targets."""
    if column.is_baseline:
        return None
    return next((base for base in scores.columns if base.is_baseline and base.targets == column.targets), None)


def blocks(scores: Scores) -> tuple[Block, ...]:
    """All families in the order of the record, the total first."""
    families = dict.fromkeys([ALL, *(row.family for row in scores.rows)])
    return tuple(_block(scores, family) for family in families)


def _block(scores: Scores, family: str) -> Block:
    known = scores.families.get(family, {})
    definitions = known.get("labels", {})
    rows = [row for row in scores.rows if row.family == family]
    seen = dict.fromkeys(row.label for row in rows)
    labels = [label for label in definitions if label in seen]
    labels += [label for label in seen if label not in definitions]
    lines = [_line(scores, [row for row in rows if row.label == label], definitions.get(label, "")) for label in labels]
    return Block(family, known.get("question", ""), tuple(lines))


def _line(scores: Scores, rows: list[Row], definition: str) -> Line:
    by_column = {row.column: row for row in rows}
    totals = {row.column: row.tokens for row in scores.rows if row.family == ALL}
    most = max(rows, key=lambda row: row.tokens)
    cells = {column.name: _cell(scores, column, by_column) for column in ordered(scores) if column.name in by_column}
    return Line(rows[0].label, definition, most.tokens, most.tokens / totals[most.column], cells)


def _cell(scores: Scores, column: Column, rows: Mapping[str, Row]) -> Cell:
    row = rows[column.name]
    peers = [
        rows[peer.name]
        for peer in scores.columns
        if (peer.kind, peer.targets, peer.is_baseline) == (column.kind, column.targets, column.is_baseline)
        and peer.name in rows
        and peer.name != column.name
    ]
    is_comparable = column.kind != ScoreKind.SHARE.label or row.family == ALL
    base = baseline_of(scores, column) if is_comparable else None
    loses = row.mean >= rows[base.name].mean if base and base.name in rows else None
    is_few = row.groups < FEW
    is_best = bool(peers) and all(_is_below(row, peer) for peer in peers)
    return Cell(row, is_best and is_comparable and not is_few, loses, is_few)


def _is_below(row: Row, peer: Row) -> bool:
    """Is the one's whole interval below the other's? Of readings of one text this asks more than a paired test does."""
    return row.high is not None and peer.low is not None and row.high < peer.low


def words(name: str) -> str:
    """A name as a person writes it: `1k_10k` is 1k–10k, `4_15` is 4–15, `word_start` is word start."""
    return re.sub(r"(\dk?)_(?=\d)", r"\1–", name).replace("_", " ")
