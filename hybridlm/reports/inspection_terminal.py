"""An inspection in a terminal: the same numbers as the page, without the pictures."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text as Line

from hybridlm.reports.blocks import words
from hybridlm.reports.inspection import ALL, Drop, Model, Portion, Text, Token, percent

_LABELS, _DOMAIN = 72, 12
"""Characters that a label takes with its tokens, and what the share of each domain takes beside them."""


def show(text: Text | None, model: Model | None, console: Console | None = None) -> None:
    """Prints what is given."""
    console = console or Console()
    if text:
        console.print(_portions(text.portions))
        console.print(_drops(text.drops))
        console.print(_families(text, max(0, (console.width - _LABELS) // _DOMAIN)))
    if model:
        console.print(_facts(model))
        console.print(_parameters(model))


def _table(*headings: str, left: Sequence[str] = ()) -> Table:
    """A borderless table; the first column and those in `left` are words, the others numbers."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(Line(heading), justify="left" if place == 0 or heading in left else "right")
    return table


def _portions(portions: Sequence[Portion]) -> Table:
    table = _table("text", "tokens", "documents", "groups", "bytes", "bytes per token", "fill")
    for portion in portions:
        is_whole = portion.domain == ALL
        table.add_row(
            Line(portion.split, style="bold") if is_whole else Line(f"  {portion.domain}"),
            *(f"{number:,}" for number in (portion.tokens, portion.documents, portion.groups, portion.bytes)),
            f"{portion.bytes_per_token:.2f}",
            "" if portion.fill is None else f"{portion.fill:.2%}",
        )
    return table


def _drops(drops: Sequence[Drop]) -> Table:
    table = _table("left out", "documents", "bytes", "for example", left=("for example",))
    for drop in drops:
        table.add_row(Line(drop.reason), f"{drop.documents:,}", f"{drop.bytes:,}", Line(drop.sample))
    if not drops:
        table.add_row("nothing")
    return table


def _families(text: Text, fit: int) -> Table:
    """Shares of all labels; as many domains as there is room for."""
    domains = text.domains[:fit]
    table = _table("tokens by class", "tokens", "share", *domains, "most frequent", left=("most frequent",))
    for family in text.families:
        table.add_row(Line(words(family.name), style="bold"))
        for label in family.labels:
            shares = (percent(family.share(label, domain)) for domain in (ALL, *domains))
            table.add_row(
                Line(f"  {words(label.name)}"), f"{label.tokens[ALL]:,}", *shares, Line(_spelled(label.frequent))
            )
    return table


def _spelled(tokens: Sequence[Token]) -> str:
    return "  ".join(token.text for token in tokens[:3])


def _facts(model: Model) -> Table:
    table = _table("model", "", left=("",))
    for name, value in model.facts.items():
        table.add_row(Line(name), Line(f"{value:,}" if isinstance(value, int) else str(value)))
    for name, problem in model.checkpoints.items():
        state = Line(f"damaged: {problem}", style="red") if problem else Line("whole")
        table.add_row(Line(f"checkpoint {name}"), state)
    return table


def _parameters(model: Model) -> Table:
    table = _table("parameter", "shape", "size", "sharding", left=("shape", "sharding"))
    for parameter in model.parameters:
        shape = " x ".join(map(str, parameter.shape))
        table.add_row(Line(parameter.path), shape, f"{parameter.size:,}", Line(parameter.sharding))
    return table
