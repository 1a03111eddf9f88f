"""The record behind every report: what each reading of a model costs on each category of tokens, in nats per token.

A column is one reading with its kind, its information set and its targets; a row is one label of one family read by one
column. Kinds are kept apart all the way: nothing here or above it ever averages two columns.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from hybridlm.config.errors import ConfigError, nearest, one_of, require
from hybridlm.facts.kinds import ScoreKind

ALL = "all"
"""The family, and its only label, of the row that holds every scored token of a column."""

ALL_TARGETS = "all scored tokens"

DETAILS = ("entropy", "accuracy", "top_5", "brier", "confidence", "reciprocal_rank", "gate", "share")
"""Means of what else one prediction per token tells."""

KINDS = {
    "exact": "The token's own −log p. Sums are likelihoods of the text; columns compare freely on the same targets.",
    "bound": "An upper bound of −log p of a whole text. It says nothing of a single token.",
    "share": "A token's part of an upper bound. Only the total is a bound of −log p: shares move cost between tokens "
    "and are not surprisal, so a category may look cheap because another one pays for it.",
    "pseudo": "−log p of a token given all others. Sums are not a likelihood of the text.",
    "conditional": "The prediction saw text to the right of its token, which left-to-right readings do not.",
}
"""Kind -> what may be read from a number of that kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One reading of a model.

    Attributes:
      name: unique in its record. kind: label of a `ScoreKind`.
      sees: what a prediction was allowed to see, in words.
      targets: which tokens were scored; only columns with equal targets are compared.
      samples: Monte-Carlo samples per token; 1 where the value is exact.
      bits_per_byte: of all its tokens, or None where that has no meaning.
      is_baseline: whether other columns of the same targets are held against it (the unigram).
      note: anything else a reader has to know.
      unscored: how many places of the rows it does not score, by reason.
    """

    name: str
    kind: str
    sees: str
    targets: str = ALL_TARGETS
    samples: int = 1
    bits_per_byte: float | None = None
    is_baseline: bool = False
    note: str = ""
    unscored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        one_of(f"kind of column {self.name!r}", self.kind, [kind.label for kind in ScoreKind])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One label of one family, read by one column.

    Attributes:
      mean: nats per token. low, high: its 95 % interval, clustered by split group; None where there is but one group.
      standard_error_mc: of `mean` from Monte-Carlo sampling alone; None where the reading is exact.
      tokens: scored tokens. groups: split groups they come from.

    Means of what else one prediction per token tells, None where a column has several:
      entropy: of the prediction, in nats. accuracy: how often the token was the likeliest; top_5: among the five.
      brier: Σ_v (p_v − [v is the token])². confidence: probability of the likeliest. reciprocal_rank: of the token.
      gate: nats for the label alone, −log p(label); mean − gate are for the token among those of the label. Only in
        families that read the token alone.
      share: of the first of two predictions in what joins them; only of such columns.
      mass: probability of the label, averaged over all tokens of the column, whatever their own label; in the same
        families. mass_excess: mass − the label's share of the tokens, 0 where the reading is calibrated.
      intervals: of these means, by name, as that of `mean`; none where there is but one group.
    """

    family: str
    label: str
    column: str
    mean: float
    low: float | None = None
    high: float | None = None
    standard_error_mc: float | None = None
    tokens: int
    groups: int
    entropy: float | None = None
    accuracy: float | None = None
    top_5: float | None = None
    brier: float | None = None
    confidence: float | None = None
    reciprocal_rank: float | None = None
    gate: float | None = None
    share: float | None = None
    mass: float | None = None
    mass_excess: float | None = None
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """Attributes:
    columns: the readings. rows: labels nobody saw have none.
    run: facts of the run by name: model, parameters, step, data fingerprint, tokenizer, versions, date, split, seed.
    families: family -> {"question": ..., "labels": {label: definition}}, as `categories.describe` gives them.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    families: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        names = [column.name for column in self.columns]
        require(len(set(names)) == len(names), f"column names must be unique in a score record, but they are {names}.")
        places = [(row.family, row.label, row.column) for row in self.rows]
        twice = sorted({place for place in places if places.count(place) > 1}) if len(set(places)) < len(places) else []
        require(not twice, f"a score record holds one row per family, label and column, but {twice[:1]} stands twice.")
        for column in sorted({row.column for row in self.rows} - set(names)):
            raise ConfigError(f"rows name the column {column!r}, which is not declared{nearest(column, names)}")
        for name in names:
            require(
                (ALL, ALL, name) in places,
                f"column {name!r} has no row for all its tokens; add one with family and label {ALL!r}.",
            )


def of_families(scores: Scores, families: Sequence[str]) -> Scores:
    """The record with the rows of these families and of all tokens together; of all families if none is named."""
    if not families:
        return scores
    return dataclasses.replace(
        scores,
        rows=tuple(row for row in scores.rows if row.family in (ALL, *families)),
        families={name: scores.families[name] for name in families if name in scores.families},
    )


def save(scores: Scores, path: epath.PathLike) -> None:
    """Writes the record as JSON; NaN is refused, because no other reader of JSON takes it."""
    epath.Path(path).write_text(json.dumps(dataclasses.asdict(scores), indent=1, allow_nan=False))


def load(path: epath.PathLike) -> Scores:
    """The record that `save` wrote."""
    data = json.loads(epath.Path(path).read_text())
    missing = {"columns", "rows"} - set(data)
    require(not missing, f"{path} is no score file: it lacks {sorted(missing)}; `hybridlm evaluate` writes one.")
    return Scores(
        columns=tuple(Column(**column) for column in data["columns"]),
        rows=tuple(_row(row) for row in data["rows"]),
        run=data.get("run", {}),
        families=data.get("families", {}),
    )


def _row(fields: Mapping[str, Any]) -> Row:
    intervals = {name: (low, high) for name, (low, high) in fields.get("intervals", {}).items()}
    return Row(**{**fields, "intervals": intervals})
