"""The page of a comparison: one file with tables, plots and coloured text; nothing from elsewhere, all text escaped."""

import json
from collections.abc import Sequence
from typing import Any

import jinja2
import numpy as np

from hybridlm.reports import plots
from hybridlm.reports.blocks import words
from hybridlm.reports.comparing import plots as comparison_plots
from hybridlm.reports.comparing.passages import BY_CATEGORY, LENGTH, PASSAGES, PER_GROUP, Passage
from hybridlm.reports.comparing.shown import single, tests, without
from hybridlm.reports.comparing.tables import chance, nats
from hybridlm.reports.comparing.undecided import reasons
from hybridlm.reports.comparison import Comparison, Row
from hybridlm.reports.sample import LEVELS, visible
from hybridlm.reports.scores import ALL, KINDS
from hybridlm.statistics.equivalence import Verdict
from hybridlm.statistics.intervals import FEW

LIMIT = 20_000_000
"""Bytes that a page may have; passages are left out until it fits."""

STEPS = (0.1, 0.3, 1.0, 2.0)
"""Nats at which the colour of a gap changes."""

_WIDTH, _EDGE, _TOLD = 200, 4, 5


def render(found: Comparison, passages: Sequence[Passage]) -> str:
    """The page as text."""
    page = _render(found, passages)
    while len(page.encode()) > LIMIT and len(passages) > 1:
        passages = passages[::2]
        page = _render(found, passages)
    return page


def _render(found: Comparison, passages: Sequence[Passage]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hybridlm", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"nats": _minus, "chance": chance, "words": words, "visible": visible}
    environment.filters |= {"count": "{:,}".format, "percent": _percent, "raw": _raw}
    whole, left_out = found, single(found)
    found = without(whole, left_out)
    families = list(dict.fromkeys(row.family for row in found.rows if row.family != ALL))
    return environment.get_template("comparing/page.html").render(
        found=found,
        few=FEW,
        reasons=reasons(found),
        kinds={kind: KINDS[kind] for kind in dict.fromkeys(entry.kind for entry in found.readings)},
        totals={model.name: found.rows_of(model.name, ALL)[0] for model in found.models},
        told={model.name: _told(found.rows_of(model.name)) for model in found.models},
        families=families,
        tests=tests(whole),
        left_out=left_out,
        forests={model.name: _forests(found, model.name) for model in found.models},
        colors={model.name: plots.PALETTE[n % len(plots.PALETTE)] for n, model in enumerate(found.models)},
        figures=_figures(found),
        passages=[(passage, _colours(found, passage)) for passage in passages],
        distances=_distances(found),
        metrics={model.name: _metrics(found, model.name) for model in found.models if found.metrics},
        rule={"most": PASSAGES, "by_category": BY_CATEGORY, "per_group": PER_GROUP, "length": LENGTH},
        steps=STEPS,
        levels=LEVELS,
        data=_script(whole, passages),
    )


def _minus(value: float | None, sign: str = "") -> str:
    """Nats with a true minus sign."""
    return nats(value, sign).replace("-", "−")


def _percent(share: float) -> str:
    """A share, which may be negative; nothing is never less than nothing."""
    return f"{round(share * 100) or 0:d}%".replace("-", "−")


def _raw(value: float | None) -> str:
    """A number as the JSON has it, for sorting."""
    return "" if value is None else f"{value:.10g}"


def step(gap: float) -> str:
    """The colour of a gap: "gain3", "loss1", or "even"."""
    strength = sum(abs(gap) >= edge for edge in STEPS)
    return f"{'gain' if gap > 0 else 'loss'}{strength}" if strength else "even"


def _colours(found: Comparison, passage: Passage) -> list[str]:
    """The colour of every token by the gap of the first model, from the numbers that the script reads."""
    base, model = (_short(passage.cost[entry.name]) for entry in found.readings[:2])
    return [step(ours - theirs) for ours, theirs in zip(base, model)]


def _distances(found: Comparison) -> dict[str, dict[str, Any]]:
    """Distance -> reading -> its record."""
    lines = {}
    for record in found.distance:
        lines.setdefault(record["distance"], {})[record["reading"]] = record
    return lines


def _metrics(found: Comparison, model: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(family, label) -> metric -> its record."""
    lines = {}
    for record in found.metrics:
        if record["model"] == model:
            lines.setdefault((record["family"], record["label"]), {})[record["metric"]] = record
    return lines


def _told(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The settled categories with the largest gains and losses."""
    settled = [
        row for row in rows if row.family != ALL and row.verdict == Verdict.DIFFERS and row.clusters >= FEW and row.gap
    ]
    gains = sorted((row for row in settled if row.gap > 0), key=lambda row: -row.gap)
    losses = sorted((row for row in settled if row.gap < 0), key=lambda row: row.gap)
    return {"gains": gains[:_TOLD], "losses": losses[:_TOLD]}


def _forests(found: Comparison, model: str) -> dict[str, Any]:
    """What the small interval pictures of a model's rows need: their common scale, and places along it."""
    rows = [row for row in found.rows_of(model) if row.gap is not None]
    sure = [row for row in rows if row.clusters >= FEW and row.band_low is not None] or rows
    margin = found.settings["margin"]
    low = min([-margin, *(row.band_low if row.band_low is not None else row.gap for row in sure)]) * 1.05
    high = max([margin, *(row.band_high if row.band_high is not None else row.gap for row in sure)]) * 1.05

    def place(value):
        return round(float(np.clip(_WIDTH * (value - low) / (high - low), _EDGE, _WIDTH - _EDGE)), 2)

    return {
        "low": low,
        "high": high,
        "zero": place(0),
        "margin": (place(-margin), place(margin)),
        "rows": {(row.family, row.label): _forest(row, place, low, high) for row in rows},
    }


def _forest(row: Row, place, low: float, high: float) -> dict[str, Any]:
    ends = (row.gap, row.gap) if row.band_low is None else (row.band_low, row.band_high)
    boxes = [
        (name, place(start), place(end) - place(start))
        for name, start, end in (
            ("seeds", row.seeds_low, row.seeds_high),
            ("placebo", row.placebo_low, row.placebo_high),
        )
        if start is not None and end is not None
    ]
    return {
        "dot": place(row.gap) if low <= row.gap <= high else None,
        "low": place(ends[0]),
        "high": place(ends[1]),
        "boxes": boxes,
        "leaves": ("left" if ends[0] < low else "") + ("right" if ends[1] > high else ""),
    }


def _figures(found: Comparison) -> dict[str, str]:
    """Caption -> picture."""
    made = {}
    if found.frequency:
        made["Gap by frequency rank"] = plots.data_uri(comparison_plots.frequency(found))
    if found.calibration:
        made["Reliability of the likeliest token"] = plots.data_uri(comparison_plots.reliability(found))
    return made


def _script(found: Comparison, passages: Sequence[Passage]) -> str:
    """What the page's script reads; `<` is escaped, so that no text ends the script."""
    content = {
        "baseline": found.baseline.name,
        "models": [model.name for model in found.models],
        "families": {name: [words(label) for label in facts["labels"]] for name, facts in found.families.items()},
        "steps": STEPS,
        "levels": LEVELS,
        "passages": [_numbers(passage) for passage in passages],
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _numbers(passage: Passage) -> dict[str, Any]:
    return {
        "cost": {name: _short(cost_T) for name, cost_T in passage.cost.items()},
        "label": {name: label_T.tolist() for name, label_T in passage.label.items()},
        "extra": {name: _short(values) for name, values in passage.extra.items()},
    }


def _short(values: np.ndarray) -> Sequence[float | int | None]:
    """Numbers with four decimals; null where there is none."""
    return [round(value, 4) if np.isfinite(value) else None for value in values.tolist()]
