"""A family of labels, and the three ways in which a target token comes by its label."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from hybridlm.categories.vocabulary import Vocabulary
from hybridlm.config.errors import require

LANGUAGE = "language"
"""The column of a batch that holds the index of each token's domain."""

Assign = Callable[[Vocabulary], Sequence[str]]
"""Vocabulary -> one label name for each id, or a list of such lists, one for each domain."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """One partition of target tokens.

    By token: `assign` names the label of every id. By token and language: `assign` does so once per domain, and
    `column` is `LANGUAGE`. By column: there is no `assign`, and `column` already holds the index of the label.

    Attributes:
      name: as it stands in score files and reports.
      question: what the family asks of a token, in one line.
      labels: label -> its definition in one line, in index order; None where the labels are the domains of the data.
      assign: vocabulary -> label names.
      column: the integer column of the batch it reads.
    """

    name: str
    question: str
    labels: Mapping[str, str] | None
    assign: Assign | None = None
    column: str | None = None

    def __post_init__(self):
        require(
            self.assign is not None or self.column is not None,
            f"family {self.name!r} has neither `assign` nor `column`: nothing says which label a token gets.",
        )
        require(
            self.labels is None or 0 < len(self.labels) <= 128,
            f"family {self.name!r} has {len(self.labels or ())} labels, but 1 to 128 fit its int8 table.",
        )


def each_token(label: Callable[[bytes], str]) -> Assign:
    """The `assign` of a family whose label follows from the bytes of one token."""
    return lambda vocabulary: [label(token) for token in vocabulary.tokens]


def labels_of(family: Family, vocabulary: Vocabulary) -> Mapping[str, str]:
    """Label -> definition, with the domains filled in."""
    if family.labels is None:
        return {domain: f"documents of {domain}" for domain in vocabulary.domains}
    return family.labels
