"""What compared models are expected to gain on a text: a record per model and family, and the CSV of all."""

import dataclasses
import math
from collections.abc import Mapping

import pandas as pd
from etils import epath

MEANING = (
    "An extrapolation, not a measurement: the shares of classes in this text, times the gaps that the comparison "
    "measured class by class on its own text. It assumes that a class has the same gap in both; only scoring this text "
    "tells whether it does."
)


@dataclasses.dataclass(frozen=True)
class Share:
    """A class of the text: its share of the measured tokens, the gap carried over, and what the two add to the gain."""

    label: str
    share: float
    gap: float
    adds: float


@dataclasses.dataclass(frozen=True)
class Gain:
    """The gain of a model over the baseline by one family; positive where the model predicts better.

    Attributes:
      gain, low, high: nats per token. bits_per_byte: the same three as bits per byte of text.
      error_of_gaps, error_of_text: standard errors of the gain that come from the gaps and from the shares.
      covered: share of the text in classes with a measured gap. unmeasured: its other classes.
      notes: what else is to be known of the interval.
    """

    model: str
    family: str
    gain: float
    low: float
    high: float
    bits_per_byte: tuple[float, float, float]
    error_of_gaps: float
    error_of_text: float
    covered: float
    unmeasured: tuple[str, ...]
    classes: tuple[Share, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Gains:
    """Attributes:
    baseline: what the models are held against. level: of the intervals. facts: of the comparison.
    missing: family -> why it gives no gain. notes: what is to be known of all of them.
    """

    baseline: str
    level: float
    facts: Mapping[str, str]
    gains: tuple[Gain, ...]
    missing: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def by_model(self) -> dict[str, list[Gain]]:
        """The gains of every model."""
        found = {}
        for gain in self.gains:
            found.setdefault(gain.model, []).append(gain)
        return found


def bits_per_byte(nats_per_token: float, bytes_per_token: float) -> float:
    """The same amount, spread over the bytes that a token stands for."""
    return nats_per_token / bytes_per_token / math.log(2)


def table(gains: Gains) -> pd.DataFrame:
    """One line per model and family, with label "all", and one per class of it; nats per token unless named bits."""
    lines = []
    for gain in gains.gains:
        named = {"model": gain.model, "family": gain.family}
        bits = dict(zip(("bits_per_byte", "bits_per_byte_low", "bits_per_byte_high"), gain.bits_per_byte))
        whole = {"gain": gain.gain, "low": gain.low, "high": gain.high, "covered": gain.covered}
        lines.append({**named, "label": "all", "share": 1.0, **whole, **bits})
        lines += [
            {**named, "label": part.label, "share": part.share, "gap": part.gap, "gain": part.adds}
            for part in gain.classes
        ]
    columns = ("model", "family", "label", "share", "gap", "gain", "low", "high", "covered")
    return pd.DataFrame(lines, columns=[*columns, "bits_per_byte", "bits_per_byte_low", "bits_per_byte_high"])


def save(gains: Gains, path: epath.PathLike) -> None:
    """Writes the table as CSV."""
    epath.Path(path).write_text(table(gains).to_csv(index=False))
