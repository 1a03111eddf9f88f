"""What a text or a model is made of: the records that the terminal, the CSV and the HTML page of an inspection read.

They hold plain numbers and names, so a page can be made from any source of them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from etils import epath
from jaxtyping import Bool, Int

from hybridlm.reports.inspection_gains import Gains

ALL = "all"
"""In place of a source or a domain: all of them together."""

_VISIBLE = {" ": "␣", "\n": "↵", "\t": "⇥"}


class Part(NamedTuple):
    """Which part of a text: a source, a domain, or everything."""

    source: str = ALL
    domain: str = ALL

    @property
    def name(self) -> str:
        """Of the source or the domain."""
        return self.source if self.domain == ALL else self.domain


WHOLE = Part()


@dataclasses.dataclass(frozen=True)
class Source:
    """Where text is from, and what is known of it; language "" means that every document names its own."""

    name: str
    language: str = ""
    licence: str = ""


@dataclasses.dataclass(frozen=True)
class Portion:
    """The text of one part in one split.

    Attributes:
      tokens: of text, the ends of documents left out. bytes: of text in UTF-8.
      fill: share of the rows that is not padding; None for a domain, as rows hold several.
    """

    split: str
    part: Part
    documents: int
    groups: int
    tokens: int
    bytes: int
    fill: float | None = None

    @property
    def bytes_per_token(self) -> float:
        """How much text a token stands for."""
        return self.bytes / max(1, self.tokens)


@dataclasses.dataclass(frozen=True)
class Drop:
    """What was left out of the rows for one reason, with one document as an example."""

    reason: str
    documents: int
    bytes: int
    sample: str


@dataclasses.dataclass(frozen=True)
class Token:
    """A token as a person can read it, and how often it stands in the text."""

    text: str
    count: int


@dataclasses.dataclass(frozen=True)
class Label:
    """A label, its tokens by part (`WHOLE` first, then sources, then domains), its most frequent and rarest tokens."""

    name: str
    definition: str
    tokens: Mapping[Part, int]
    frequent: tuple[Token, ...]
    rarest: tuple[Token, ...]


@dataclasses.dataclass(frozen=True)
class Family:
    """A partition of tokens into labels; `splits` have the labels, where others lack them."""

    name: str
    question: str
    labels: tuple[Label, ...]
    splits: tuple[str, ...] = ()

    def share(self, label: Label, part: Part = WHOLE) -> float:
        """The label's share of the tokens of a part."""
        return label.tokens[part] / max(1, sum(other.tokens[part] for other in self.labels))


@dataclasses.dataclass(frozen=True)
class Frequencies:
    """Counts of the ids that occur, falling, and the band of each, a number into `bands`, which are by rank."""

    counts_N: Int[np.ndarray, "N"]
    band_N: Int[np.ndarray, "N"]
    bands: tuple[str, ...]

    @property
    def by_band(self) -> dict[str, tuple[int, int, float]]:
        """Band -> its ids, their occurrences, and the share of all occurrences."""
        total, found = max(1, int(self.counts_N.sum())), {}
        for number, name in enumerate(self.bands):
            counts = self.counts_N[self.band_N == number]
            found[name] = (len(counts), int(counts.sum()), int(counts.sum()) / total)
        return found


@dataclasses.dataclass(frozen=True)
class PackedRow:
    """One row: the document of every `stride`-th token, from 1, 0 for padding, and who sees whom among them."""

    title: str
    segment_T: Int[np.ndarray, "T"]
    is_visible_TT: Bool[np.ndarray, "T T"]
    stride: int = 1


@dataclasses.dataclass(frozen=True)
class Text:
    """Rows of text.

    Attributes:
      findings: what was noticed on the way from text to rows, in sentences.
    """

    facts: Mapping[str, Any]
    findings: tuple[str, ...]
    sources: tuple[Source, ...]
    portions: tuple[Portion, ...]
    drops: tuple[Drop, ...]
    families: tuple[Family, ...]
    frequencies: Frequencies
    rows: tuple[PackedRow, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The sources, if there are several, then the domains, if there are several."""
        known = [part for part in self.families[0].labels[0].tokens if part != WHOLE]
        kinds = [part for part in known if part.domain == ALL], [part for part in known if part.source == ALL]
        return tuple(part for kind in kinds if len(kind) > 1 for part in kind)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One array of a model, and over which mesh axis each of its dimensions is cut."""

    path: str
    shape: tuple[int, ...]
    size: int
    sharding: str


@dataclasses.dataclass(frozen=True)
class Model:
    """A run: its facts, parameters, checkpoints (name -> what is wrong, "" if nothing), masks by title, and config."""

    facts: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    checkpoints: Mapping[str, str]
    masks: Mapping[str, Bool[np.ndarray, "_ _"]]
    config: str


@dataclasses.dataclass(frozen=True)
class Inspection:
    """All that was asked for; None is what was not."""

    title: str
    text: Text | None = None
    model: Model | None = None
    gains: Gains | None = None


def spelled(token: bytes) -> str:
    """A token with its spaces, line breaks and tabs made visible, and every unprintable byte escaped."""
    text = token.decode(errors="backslashreplace")
    return "".join(_VISIBLE.get(c) or (c if c.isprintable() else repr(c)[1:-1]) for c in text)


def percent(share: float) -> str:
    """A share in percent; what is there is never shown as nothing."""
    if share == 0:
        return "–"
    return "<0.1%" if share < 0.0005 else f"{share:.1%}"


def distribution(families: tuple[Family, ...]) -> pd.DataFrame:
    """One line per family, label and part: tokens, and their share of the part."""
    return pd.DataFrame(
        {
            "family": family.name,
            "label": label.name,
            "source": part.source,
            "domain": part.domain,
            "tokens": label.tokens[part],
            "share": family.share(label, part),
        }
        for family in families
        for label in family.labels
        for part in label.tokens
    )


def save_distribution(families: tuple[Family, ...], path: epath.PathLike) -> None:
    """Writes the distribution as CSV."""
    epath.Path(path).write_text(distribution(families).to_csv(index=False))
