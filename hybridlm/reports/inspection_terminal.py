"""An inspection in a terminal: the same numbers as the page, without the pictures."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text as Line

from hybridlm.reports.blocks import words
from hybridlm.reports.inspection import WHOLE, Drop, Frequencies, Inspection, Model, Source, Text, Token, percent
from hybridlm.reports.inspection_gains import MEANING, Gain, Gains
from hybridlm.reports.inspection_html import signed
from hybridlm.reports.inspection_plots import short

_LABELS, _PART = 72, 14
"""Characters that a label takes with its tokens, and what the share of each part takes beside them."""

_ADD_MOST = 3
"""Classes named beside a gain."""


def show(found: Inspection, console: Console | None = None) -> None:
    """Prints what was found."""
    console = console or Console()
    if found.text:
        _show_text(found.text, console)
    if found.gains:
        _show_gains(found.gains, console)
    if found.model:
        console.print(_facts(found.model))
        console.print(_parameters(found.model))


def _show_text(text: Text, console: Console) -> None:
    console.print(_portions(text))
    console.print(_sources(text.sources))
    for finding in text.findings:
        console.print(Line(f"• {finding}"))
    console.print(_drops(text.drops))
    console.print(_bands(text.frequencies))
    console.print(_families(text, max(0, (console.width - _LABELS) // _PART)))


def _table(*headings: str, left: Sequence[str] = ()) -> Table:
    """A borderless table; the first column and those in `left` are words, the others numbers."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(Line(heading), justify="left" if place == 0 or heading in left else "right")
    return table


def _portions(text: Text) -> Table:
    table = _table("text", "tokens", "documents", "groups", "bytes", "bytes per token", "fill")
    for portion in text.portions:
        is_whole = portion.part == WHOLE
        if is_whole or portion.part in text.parts:
            table.add_row(
                Line(portion.split, style="bold") if is_whole else Line(f"  {short(portion.part.name)}"),
                *(f"{number:,}" for number in (portion.tokens, portion.documents, portion.groups, portion.bytes)),
                f"{portion.bytes_per_token:.2f}",
                "" if portion.fill is None else f"{portion.fill:.2%}",
            )
    return table


def _sources(sources: Sequence[Source]) -> Table:
    table = _table("source", "language", "licence", left=("language", "licence"))
    for source in sources:
        said = source.language or "as its documents say", source.licence or "not stated"
        table.add_row(Line(source.name), *map(Line, said))
    return table


def _drops(drops: Sequence[Drop]) -> Table:
    table = _table("left out", "documents", "bytes", "for example", left=("for example",))
    for drop in drops:
        table.add_row(Line(drop.reason), f"{drop.documents:,}", f"{drop.bytes:,}", Line(drop.sample))
    if not drops:
        table.add_row("nothing")
    return table


def _bands(frequencies: Frequencies) -> Table:
    table = _table("ids by rank", "ids", "occurrences", "share of the text")
    for band, (ids, occurrences, share) in frequencies.by_band.items():
        table.add_row(words(band), f"{ids:,}", f"{occurrences:,}", percent(share))
    return table


def _families(text: Text, fit: int) -> Table:
    """Shares of all labels that occur; as many parts as there is room for."""
    parts = text.parts[:fit]
    names = [short(part.name)[: _PART - 2] for part in parts]
    table = _table("tokens by class", "tokens", "share", *names, "most frequent", left=("most frequent",))
    for family in text.families:
        table.add_row(Line(words(family.name), style="bold"))
        for label in family.labels:
            if label.tokens[WHOLE]:
                shares = (percent(family.share(label, p)) if p in label.tokens else "" for p in (WHOLE, *parts))
                count = f"{label.tokens[WHOLE]:,}"
                table.add_row(Line(f"  {words(label.name)}"), count, *shares, Line(_spelled(label.frequent)))
    return table


def _spelled(tokens: Sequence[Token]) -> str:
    return "  ".join(token.text for token in tokens[:3])


def _show_gains(gains: Gains, console: Console) -> None:
    for model, found in gains.by_model.items():
        console.print(_gains(f"{model} instead of {gains.baseline}", gains.level, found))
    for why in dict.fromkeys(gains.missing.values()):
        families = ", ".join(words(family) for family, reason in gains.missing.items() if reason == why)
        console.print(Line(f"• no gain by {families}: {why}"))
    for note in (*gains.notes, MEANING):
        console.print(Line(f"• {note}"))


def _gains(title: str, level: float, found: Sequence[Gain]) -> Table:
    interval, adds = f"{level:.0%} interval", "classes that add most"
    table = _table(title, "nats per token", interval, "bits per byte", "covered", adds, left=(adds,))
    for gain in found:
        most = sorted(gain.classes, key=lambda part: -abs(part.adds))[:_ADD_MOST]
        table.add_row(
            Line(words(gain.family)),
            signed(gain.gain),
            f"{signed(gain.low)} to {signed(gain.high)}",
            signed(gain.bits_per_byte[0]),
            percent(gain.covered),
            Line(", ".join(f"{words(part.label)} {signed(part.adds)}" for part in most)),
        )
    return table


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
