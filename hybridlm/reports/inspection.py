"""What a text or a model is made of: the records that the terminal, the CSV and the HTML page of an inspection read.

They hold plain numbers and names, so a page can be made from any source of them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from etils import epath
from jaxtyping import Bool, Int

ALL = "all"
"""In place of a domain: all of them together."""

_VISIBLE = {" ": "␣", "\n": "↵", "\t": "⇥"}


@dataclasses.dataclass(frozen=True)
class Portion:
    """The text of one domain, or of all, in one split.

    Attributes:
      tokens: of text, the ends of documents left out. bytes: of text in UTF-8.
      fill: share of the rows that is not padding; None for a single domain, as rows are shared.
    """

    split: str
    domain: str
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
    """A label, its tokens by domain (`ALL` first), and its most frequent and its rarest tokens."""

    name: str
    definition: str
    tokens: Mapping[str, int]
    frequent: tuple[Token, ...]
    rarest: tuple[Token, ...]


@dataclasses.dataclass(frozen=True)
class Family:
    """A partition of all tokens into labels."""

    name: str
    question: str
    labels: tuple[Label, ...]

    def share(self, label: Label, domain: str = ALL) -> float:
        """The label's part of the tokens of a domain."""
        return label.tokens[domain] / max(1, sum(other.tokens[domain] for other in self.labels))


@dataclasses.dataclass(frozen=True)
class Frequencies:
    """Training counts of the ids that occur, falling, and the band of each, a number into `bands`."""

    counts_N: Int[np.ndarray, "N"]
    band_N: Int[np.ndarray, "N"]
    bands: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class PackedRow:
    """One row: the document of every `stride`-th token, from 1, 0 for padding, and who sees whom among them."""

    title: str
    segment_T: Int[np.ndarray, "T"]
    is_visible_TT: Bool[np.ndarray, "T T"]
    stride: int = 1


@dataclasses.dataclass(frozen=True)
class Text:
    """A prepared text."""

    facts: Mapping[str, Any]
    portions: tuple[Portion, ...]
    drops: tuple[Drop, ...]
    families: tuple[Family, ...]
    frequencies: Frequencies
    rows: tuple[PackedRow, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """In the order of every label's tokens."""
        return tuple(domain for domain in self.families[0].labels[0].tokens if domain != ALL)


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
    """One line per family, label and domain: tokens, and their share of the domain."""
    return pd.DataFrame(
        {
            "family": family.name,
            "label": label.name,
            "domain": domain,
            "tokens": label.tokens[domain],
            "share": family.share(label, domain),
        }
        for family in families
        for label in family.labels
        for domain in label.tokens
    )


def save_distribution(families: tuple[Family, ...], path: epath.PathLike) -> None:
    """Writes the distribution as CSV."""
    epath.Path(path).write_text(distribution(families).to_csv(index=False))
