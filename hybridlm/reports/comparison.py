"""The record of a comparison, and its JSON: all that tables, plots and the page say, and nothing they do not.

    found = comparison.load("runs/compared/comparison.json")
    found.measured["word_class"]       # gaps of a family, as `statistics.transfer.expected_gain` takes them

Numbers are in nats per token (or byte, see `unit`); a gap is baseline minus model, positive where the model is better.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from hybridlm.config.errors import require
from hybridlm.statistics.transfer import Measured

FILE = "comparison.json"
FORMAT, VERSION = "hybridlm.comparison", 3
_BEFORE = 2
"""The version before, whose rows say `is_p_least` a second time, as `is_p_all_least`; it is read too."""
_DIGITS = 10
"""Significant digits of what is written: more would be rounding errors, which differ between machines."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One reading that was compared.

    Attributes:
      path, reading, kind, sees, tokenizer, checkpoint, code: from its token file. scores: hash of its values.
      mean, low, high: nats per unit over all that was compared, with its interval.
    """

    name: str
    path: str
    reading: str
    kind: str
    sees: str
    samples: int
    tokenizer: str
    checkpoint: str
    code: str
    scores: str
    is_baseline: bool
    mean: float
    low: float | None
    high: float | None
    bits_per_byte: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One label of one family, for one model against the baseline; None where a number does not exist.

    Attributes:
      count: tokens or bytes. clusters: groups that have any. note: what the interval suffers from.
      baseline, mean: nats per unit under the baseline and under the model.
      gap, error: their paired difference and its clustered standard error.
      low, high, p: the interval and the p of this label, had it alone been asked for. fdr: the false discovery rate.
      band_low, band_high, p_all: those that hold for all rows of all models at once.
      is_p_least: no flip that was drawn got as far, so that both p mean ≤; never where all were looked at.
      verdict: read from the band, against the margin. why: it is undecided; else empty.
      detectable: the gap that would have been told from zero. share, share_low, share_high: part of the total gap;
        settled if draws agree on the sign of the total.
      adjusted, adjusted_low, adjusted_high: the gap if all else in the regression were average.
      seeds_low, seeds_high, seeds_place: the envelope of pairs that differ by seed, and where the gap lies.
      placebo_low, placebo_high, placebo_place: of pairs that differ in training or size, scaled to the gap of all.
    """

    model: str
    family: str
    label: str
    count: int
    clusters: int
    note: str
    baseline: float | None
    mean: float | None
    gap: float | None
    low: float | None
    high: float | None
    error: float | None
    p: float | None
    is_p_least: bool
    fdr: float | None
    band_low: float | None
    band_high: float | None
    p_all: float | None
    verdict: str
    why: str
    detectable: float | None
    share: float | None
    share_low: float | None
    share_high: float | None
    is_share_settled: bool
    adjusted: float | None = None
    adjusted_low: float | None = None
    adjusted_high: float | None = None
    seeds_low: float | None = None
    seeds_high: float | None = None
    seeds_place: str = ""
    placebo_low: float | None = None
    placebo_high: float | None = None
    placebo_place: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that was found when models were held against a baseline on one text.

    Attributes:
      settings: as asked for. methods: what was done, in words. notes: what a reader has to know besides.
      data: hash of the compared places and texts. tokens: rows compared. left_out: of the baseline's.
      readings: the baseline first. rows: by model, family and label. families: question and labels of each.
      regressions, calibration, recall, distance, frequency: lists of plain records, empty where the files lack columns.
      metrics: of what predictions say besides the loss, as plain records too (`comparing.metrics`).
      gaps: model -> family -> its gaps with their covariance.
    """

    settings: Mapping[str, Any]
    methods: str
    notes: tuple[str, ...]
    unit: str
    data: str
    tokens: int
    bytes: int
    documents: int
    clusters: int
    left_out: int
    readings: tuple[Entry, ...]
    rows: tuple[Row, ...]
    families: Mapping[str, Any]
    regressions: tuple[Mapping[str, Any], ...]
    calibration: tuple[Mapping[str, Any], ...]
    recall: tuple[Mapping[str, Any], ...]
    distance: tuple[Mapping[str, Any], ...]
    frequency: tuple[Mapping[str, Any], ...]
    gaps: Mapping[str, Mapping[str, Measured]]
    hybridlm: str
    metrics: tuple[Mapping[str, Any], ...] = ()

    @property
    def baseline(self) -> Entry:
        return self.readings[0]

    @property
    def models(self) -> tuple[Entry, ...]:
        """All but the baseline."""
        return self.readings[1:]

    @property
    def measured(self) -> dict[str, Measured]:
        """By family, the gaps of the first model over the baseline."""
        return dict(self.gaps[self.models[0].name])

    def rows_of(self, model: str, family: str | None = None) -> list[Row]:
        """A model's rows, of one family or of all."""
        return [row for row in self.rows if row.model == model and family in (None, row.family)]


def dumps(found: Comparison) -> str:
    """The record as JSON text; equal comparisons give equal texts."""
    return json.dumps({"format": FORMAT, "version": VERSION, **_plain(found)}, indent=1, allow_nan=False) + "\n"


def save(found: Comparison, path: epath.PathLike) -> None:
    """Writes the record as JSON."""
    epath.Path(path).write_text(dumps(found))


def load(path: epath.PathLike) -> Comparison:
    """The record that `save` wrote, or that of a directory of `hybridlm compare`; raises where it is something else."""
    path = epath.Path(path)
    if path.is_dir():
        path = path / FILE
        require(path.exists(), f"{path.parent} holds no {FILE}; name the --output of a `hybridlm compare`.")
    content = _json(path)
    readable = ((FORMAT, VERSION), (FORMAT, _BEFORE))
    require(
        isinstance(content, dict) and (content.pop("format", None), content.pop("version", None)) in readable,
        f"{path} is no comparison that this hybridlm reads, format {FORMAT!r} and version {VERSION} or {_BEFORE}; "
        "`hybridlm compare` writes one.",
    )
    gaps = content.pop("gaps")
    lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
    return Comparison(
        **content
        | lists
        | {
            "readings": tuple(Entry(**entry) for entry in content["readings"]),
            "rows": tuple(map(_row, content["rows"])),
            "gaps": {
                model: {family: _measured(family, fields) for family, fields in families.items()}
                for model, families in gaps.items()
            },
        }
    )


def _json(path: epath.Path) -> Any:
    """What a file of JSON holds; None of any other."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


def _row(fields: Mapping[str, Any]) -> Row:
    return Row(**{name: value for name, value in fields.items() if name != "is_p_all_least"})


def _measured(family: str, fields: Mapping[str, Any]) -> Measured:
    """Gaps with their arrays; None stands for NaN."""
    arrays = {name: np.array(fields[name], float) for name in ("gap_C", "covariance_CC")}
    return Measured(
        **fields
        | arrays
        | {"family": family, "labels": tuple(fields["labels"]), "clusters_C": np.array(fields["clusters_C"], int)}
    )


def _plain(value: Any) -> Any:
    """Records, arrays and numbers as JSON has them."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
