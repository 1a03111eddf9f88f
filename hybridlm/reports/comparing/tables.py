"""A comparison as tables for other programs: one CSV of all rows, and LaTeX with a table per model and family."""

import dataclasses
import math
from collections.abc import Iterator

import pandas as pd
from etils import epath

from hybridlm.reports.blocks import words
from hybridlm.reports.comparison import Comparison, Entry, Row
from hybridlm.statistics.intervals import FEW

_PLACE = ["model", "family", "label"]
_LATEX = {
    "\\": r"\textbackslash{}",
    "–": "--",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "≤": r"$\leq$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def csv(found: Comparison) -> str:
    """All rows, with the metrics of their labels beside them; equal comparisons give equal texts."""
    rows = pd.DataFrame([dataclasses.asdict(row) for row in found.rows])
    rows = rows.join(_metrics(found), on=_PLACE) if found.metrics else rows
    return rows.to_csv(index=False, float_format="%.10g")


def _metrics(found: Comparison) -> pd.DataFrame:
    """By model, family and label, the columns `entropy_baseline`, `entropy_mean`, `entropy_gap`, and so on."""
    cells = {}
    for record in found.metrics:
        cell = cells.setdefault(tuple(record[name] for name in _PLACE), {})
        cell |= {f"{record['metric']}_{what}": record[what] for what in ("baseline", "mean", "gap", "low", "high")}
    return pd.DataFrame(list(cells.values()), pd.MultiIndex.from_tuples(cells, names=_PLACE))


def latex(found: Comparison) -> str:
    """Tables for a paper, for the package booktabs, one for each model and family."""
    families = dict.fromkeys(row.family for row in found.rows)
    return "\n".join(_table(found, model, family) for model in found.models for family in families)


def _table(found: Comparison, model: Entry, family: str) -> str:
    heading = (
        f"Category & {found.unit.title()}s & {escaped(found.baseline.name)} & {escaped(model.name)} & Gap & "
        r"95\,\% interval & $p$ & Verdict \\"
    ).replace("95", f"{found.settings['level'] * 100:g}")
    caption = (
        f"{escaped(model.name)} against {escaped(found.baseline.name)} by {escaped(words(family))}, in nats per "
        f"{found.unit}; a positive gap favours {escaped(model.name)}. Intervals, $p$ and verdicts hold for all "
        f"{len(found.rows)} gaps at once. $\\dagger$: fewer than {FEW} groups."
    )
    lines = [
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{caption}}}",
        r"\begin{tabular}{lrrrrlrl}",
        r"\toprule",
        heading,
        r"\midrule",
        *_lines(found.rows_of(model.name, family)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _lines(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        mark = r"$^\dagger$" if row.clusters < FEW else ""
        cells = [
            escaped(words(row.label)) + mark,
            f"{row.count:,}",
            nats(row.baseline),
            nats(row.mean),
            escaped(nats(row.gap, "+")) if row.gap is None else f"${nats(row.gap, '+')}$",
            "--" if row.band_low is None else f"$[{nats(row.band_low, '+')}, {nats(row.band_high, '+')}]$",
            escaped(chance(row.p_all, is_least=row.is_p_least)),
            row.verdict,
        ]
        yield f"{' & '.join(cells)} \\\\"


def nats(value: float | None, sign: str = "") -> str:
    """Four decimals for gaps, three for losses; a dash for what does not exist."""
    return "–" if value is None else f"{value:{sign}.{4 if sign else 3}f}"


def chance(p: float | None, *, is_least: bool = False) -> str:
    """A p-value as a person reads it, rounded up, so that 0.050 is at most 0.05; ≤ if no drawn flip got as far."""
    if p is None:
        return "–"
    if p < 0.001:
        return "<0.001"
    return f"{'≤' if is_least and p < 1 else ''}{math.ceil(round(p * 1000, 6)) / 1000:.3f}"


def escaped(text: str) -> str:
    """Text with LaTeX's own characters spelled out."""
    return "".join(_LATEX.get(character, character) for character in text)


def write(found: Comparison, directory: epath.Path) -> None:
    """Writes `comparison.csv` and `comparison.tex`."""
    (directory / "comparison.csv").write_text(csv(found))
    (directory / "comparison.tex").write_text(latex(found))
