"""A comparison in a terminal: a table per model, a block of lines per family."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hybridlm.reports.blocks import words
from hybridlm.reports.comparing.tables import chance, nats
from hybridlm.reports.comparison import Comparison, Entry, Row
from hybridlm.reports.scores import ALL
from hybridlm.statistics.equivalence import Verdict
from hybridlm.statistics.intervals import FEW

_WIDE, _LOG = 105, 120
"""Characters from which on all columns fit, and the width of a log."""

_STYLES = {Verdict.DIFFERS.value: "bold", Verdict.EQUIVALENT.value: "dim", Verdict.UNDECIDED.value: ""}


def show(found: Comparison, console: Console | None = None) -> None:
    """Prints every category of every model."""
    console = console or Console(width=None if sys.stdout.isatty() else _LOG)
    for model in found.models:
        console.print(_table(found, model, console.width >= _WIDE))
    for record in found.recall:
        console.print(
            f"recall efficiency of {record['reading']}: {nats(record['value'])} "
            f"({nats(record['low'])} to {nats(record['high'])})",
            markup=False,
        )
    console.print(Text("\n".join(_legend(found)), style="dim"))


def _table(found: Comparison, model: Entry, is_wide: bool) -> Table:
    placebos = [name for name in ("seeds", "placebo") if found.settings[name]]
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(Text(f"nats per {found.unit}"))
    more = [(f"{found.unit}s", "right"), (found.baseline.name, "right"), (model.name, "right")] if is_wide else []
    columns = [*more, ("gap", "right"), ("interval", "left"), ("p (Holm)", "right"), ("verdict", "left")]
    for heading, justify in [*columns, *((name, "left") for name in placebos)]:
        table.add_column(Text(heading), justify=justify, no_wrap=True)
    family = ALL
    for row in found.rows_of(model.name):
        if row.family != family:
            family = row.family
            table.add_row(Text(words(family), style="bold"))
        numbers = [Text(f"{row.count:,}"), Text(nats(row.baseline)), Text(nats(row.mean))] if is_wide else []
        table.add_row(
            Text(row.label if row.family == ALL else f"  {words(row.label)}"),
            *numbers,
            Text(nats(row.gap, "+"), style=_STYLES[row.verdict]),
            Text(_interval(row), style="dim"),
            Text(chance(row.holm)),
            Text(row.verdict, style=_STYLES[row.verdict]),
            *(Text(getattr(row, f"{name}_place")) for name in placebos),
        )
    return table


def _interval(row: Row) -> str:
    ends = "–" if row.low is None else f"{nats(row.low, '+')} to {nats(row.high, '+')}"
    return ends + ("†" if row.clusters < FEW else "")


def _legend(found: Comparison) -> list[str]:
    models = " or ".join(model.name for model in found.models)
    return [
        "",
        f"gap: {found.baseline.name} minus {models}; positive where the latter predicts better. † fewer than {FEW} "
        "groups.",
        f"verdict: against ±{found.settings['margin']:g} nats per {found.unit}, all categories at once.",
        *found.notes,
    ]
