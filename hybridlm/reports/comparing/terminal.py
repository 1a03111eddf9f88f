"""A comparison in a terminal: a table per model, a block of lines per family."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hybridlm.categories.families import FAMILIES
from hybridlm.categories.positions import POSITIONS
from hybridlm.config.evaluation import SHOWN
from hybridlm.reports.blocks import words
from hybridlm.reports.comparing.shown import tests
from hybridlm.reports.comparing.sums import FILTERED
from hybridlm.reports.comparing.tables import chance, nats
from hybridlm.reports.comparing.undecided import ADVICE, reasons
from hybridlm.reports.comparison import Comparison, Entry, Row
from hybridlm.reports.scores import ALL
from hybridlm.statistics.equivalence import Verdict
from hybridlm.statistics.intervals import FEW

_WIDE, _LOG = 105, 120
"""Characters from which on all columns fit, and the width of a log."""

_MARKS = {why.value: mark for why, mark in zip(ADVICE, "¹²³", strict=True)}


def show(found: Comparison, console: Console | None = None, *, is_whole: bool = False) -> None:
    """Prints the categories of every model: of the families one looks at first, or of all."""
    console = console or Console(width=None if sys.stdout.isatty() else _LOG)
    families = list(found.families) if is_whole else first_families(found)
    for model in found.models:
        console.print(_table(found, model, families, console.width >= _WIDE))
    for record in found.recall:
        console.print(
            f"recall efficiency of {record['reading']}: {nats(record['value'])} "
            f"({nats(record['low'])} to {nats(record['high'])})",
            markup=False,
        )
    console.print(Text("\n".join(["", *_legend(found), *_left_out(found, families)]), style="dim"))


def first_families(found: Comparison) -> list[str]:
    """Those that were asked for; or else `SHOWN` of ours, and all of a user's own."""
    if found.settings["families"]:
        return list(found.families)
    later = {*(family.name for family in (*POSITIONS, *FAMILIES)), *FILTERED} - {*SHOWN}
    return [name for name in found.families if name not in later]


def _table(found: Comparison, model: Entry, families: list[str], is_wide: bool) -> Table:
    placebos = [name for name in ("seeds", "placebo") if found.settings[name]]
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(Text(f"nats per {found.unit}"))
    more = [(f"{found.unit}s", "right"), (found.baseline.name, "right"), (model.name, "right")] if is_wide else []
    columns = [*more, ("gap", "right"), ("interval", "left"), ("p", "right"), ("verdict", "left")]
    for heading, justify in [*columns, *((name, "left") for name in placebos)]:
        table.add_column(Text(heading), justify=justify, no_wrap=True)
    for family in (ALL, *families):
        if family != ALL:
            table.add_row(Text(words(family), style="bold"))
        for row in found.rows_of(model.name, family):
            table.add_row(*_cells(row, is_wide), *(Text(getattr(row, f"{name}_place")) for name in placebos))
    return table


def _cells(row: Row, is_wide: bool) -> list[Text]:
    style = _style(row)
    numbers = [Text(f"{row.count:,}"), Text(nats(row.baseline)), Text(nats(row.mean))] if is_wide else []
    return [
        Text(row.label if row.family == ALL else f"  {words(row.label)}"),
        *numbers,
        Text(nats(row.gap, "+"), style=style),
        Text(_interval(row), style="dim"),
        Text(chance(row.p_all, is_least=row.is_p_least)),
        Text(row.verdict + _MARKS.get(row.why, ""), style=style),
    ]


def _style(row: Row) -> str:
    """Bold is for what is shown to differ on enough groups, and for nothing else."""
    if row.verdict == Verdict.DIFFERS and row.clusters >= FEW:
        return "bold"
    return "dim" if row.verdict == Verdict.EQUIVALENT else ""


def _interval(row: Row) -> str:
    ends = "–" if row.band_low is None else f"{nats(row.band_low, '+')} to {nats(row.band_high, '+')}"
    return ends + ("†" if row.clusters < FEW else "")


def _legend(found: Comparison) -> list[str]:
    models, margin = " or ".join(model.name for model in found.models), found.settings["margin"]
    return [
        f"gap: {found.baseline.name} minus {models}; positive where the latter predicts better.",
        f"interval, p and verdict: of one test, and for all {tests(found)} at once. p ≤: none of the flips "
        "of signs that were drawn got as far.",
        f"differs: p is at most {1 - found.settings['level']:g}, and the interval leaves out zero. Bold: it differs, "
        f"on {FEW} groups or more.",
        f"equivalent: the interval is within ±{margin:g} nats per {found.unit}, whatever p.",
        *(f"undecided{_MARKS[why]} {why}: {advice}" for why, advice in reasons(found).items()),
        f"† fewer than {FEW} groups: right if gaps of groups are symmetric, too sure of itself if they are skewed.",
        *found.notes,
    ]


def _left_out(found: Comparison, families: list[str]) -> list[str]:
    hidden = [name for name in found.families if name not in families]
    names = ", ".join(map(words, hidden))
    return [f"not printed, but in the files of the report: {names}. --all prints them too."] if hidden else []
