"""Scores in a terminal: a block of lines per family, and as many readings side by side as the terminal is wide.

Where there are more, the table goes on below, and the baseline opens every part.
"""

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hybridlm.reports.blocks import BOLD, Cell, baseline_of, blocks, ordered, words
from hybridlm.reports.scores import ALL, ALL_TARGETS, KINDS, Column, Row, Scores
from hybridlm.statistics.intervals import FEW

LOSES = "✗"
DAGGER = "†"
_LABELS, _READING, _LOG = 42, 17, 120
"""Characters that labels with their token counts take, what each reading takes beside them, and the width of a log."""


def show(scores: Scores, console: Console | None = None) -> None:
    """Prints every reading on every category, a table for each set of targets, in parts where it is too wide."""
    console = console or Console(width=None if sys.stdout.isatty() else _LOG)
    fit = max(1, (console.width - _LABELS) // _READING)
    for _, alike in itertools.groupby(ordered(scores), key=lambda column: column.targets):
        for columns in _parts(list(alike), fit):
            console.print(_table(scores, columns))
    console.print(_legend(scores))


def _parts(columns: Sequence[Column], fit: int) -> Iterator[Sequence[Column]]:
    """So many columns at a time, each time behind the baselines, where there is room for one more."""
    baselines = [column for column in columns if column.is_baseline]
    others = [column for column in columns if not column.is_baseline]
    room = fit - len(baselines)
    if len(columns) <= fit or not baselines or room < 1:
        yield from itertools.batched(columns, fit)
    else:
        yield from ([*baselines, *more] for more in itertools.batched(others, room))


def _table(scores: Scores, columns: Sequence[Column]) -> Table:
    """Readings of the same targets side by side."""
    every = {name: cell.row.tokens for name, cell in blocks(scores)[0].lines[0].cells.items()}
    table = Table(box=None, header_style="", padding=(0, 2, 0, 0))
    table.add_column(Text("nats per token", style="dim"))
    table.add_column(Text("tokens", style="dim"), justify="right")
    for column in columns:
        table.add_column(_header(column), justify="right")
    for block in blocks(scores):
        if block.family != ALL:
            table.add_row(Text(words(block.family), style="bold"))
        for line in block.lines:
            rows = [line.cells[column.name].row for column in columns if column.name in line.cells]
            if rows:
                most = max(rows, key=lambda row: row.tokens)
                count = f"{most.tokens:,} {most.tokens / every[most.column]:>4.0%}"
                cells = [_cell(line.cells.get(column.name)) for column in columns]
                table.add_row(Text(f"  {words(line.label)}"), Text(count), *cells)
    return table


def _header(column: Column) -> Text:
    targets = "" if column.targets == ALL_TARGETS else f"\n{column.targets}"
    return Text(column.name, style="bold") + Text(f"\n{column.kind}{targets}", style="dim")


def _cell(cell: Cell | None) -> Text:
    """`2.314✗† ±0.041`: the mean with its marks, and the longer side of its interval."""
    if cell is None:
        return Text("-", style="dim")
    row = cell.row
    style = "red" if cell.loses else "bold green" if cell.is_best else ""
    marks = (LOSES if cell.loses else "") + (DAGGER if cell.is_few else "")
    return (
        Text(f"{row.mean:.3f}", style=style) + Text(f"{marks:2}", style="red") + Text(f" {_interval(row)}", style="dim")
    )


def _interval(row: Row) -> str:
    if row.low is None or row.high is None:
        return f"±{'-':>5}"
    return f"±{max(row.mean - row.low, row.high - row.mean):.3f}"


def _legend(scores: Scores) -> Text:
    columns = ordered(scores)
    lines = [
        "",
        "± the longer side of the 95 % interval, clustered by split group; the page and scores.csv have both ends.",
        f"Bold: {BOLD}",
    ]
    if any(baseline_of(scores, column) for column in columns):
        lines.append(f"{LOSES} no better than the baseline on the same targets.")
    lines.append(f"{DAGGER} fewer than {FEW} split groups: the interval is too narrow.")
    lines += [f"{kind}: {KINDS[kind]}" for kind in dict.fromkeys(column.kind for column in columns)]
    lines += [f"{column.name}: {_facts(column)}." for column in columns]
    if residual := scores.run.get("residual"):
        lines.append(_check(scores, residual))
    return Text("\n".join(lines), style="dim")


def _check(scores: Scores, residual: Mapping[str, float]) -> str:
    """How far tokens are from adding up to the sequences they make, beside what they add up to."""
    nats = {row.column: row.mean * row.tokens for row in scores.rows if row.family == ALL}
    off = ", ".join(f"{name} {residual[name]:.2g} of {nats[name]:,.0f} nats" for name in residual if name in nats)
    rule = "Check of sums: tokens must add up to what their sequences cost as a whole."
    return f"{rule} Rounding alone leaves them off by {off}."


def _facts(column: Column) -> str:
    bits = "" if column.bits_per_byte is None else f"{column.bits_per_byte:.3f} bits per byte"
    rest = ", ".join(f"{count:,} {why}" for why, count in column.unscored.items())
    left_out = rest and f"not scored: {rest}"
    return "; ".join(filter(None, [bits, f"on {column.targets}", f"sees {column.sees}", column.note, left_out]))
