"""A family of labels, and the four ways in which a target token comes by its label."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hybridlm.categories.alignment import RULES
from hybridlm.categories.document import Document
from hybridlm.categories.vocabulary import Vocabulary
from hybridlm.config.errors import one_of, require

LANGUAGE = "language"
"""The column of a batch that holds the index of each token's domain."""

PER_TOKEN = "token"
"""The rule of a family that labels tokens itself, rather than characters."""

Assign = Callable[[Vocabulary], Sequence[str]]
"""Vocabulary -> one label name for each id, or a list of such lists, one for each domain."""

Compile = Callable[[Document], np.ndarray]
"""Document -> the index of the label of every character, or of every token under the rule `PER_TOKEN`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """One partition of target tokens.

    By token: `assign` names the label of every id. By token and language: `assign` does so once per domain, and
    `column` is `LANGUAGE`. By column: there is no `assign`, and `column` already holds the index of the label. By
    position: a family by column whose column `compile` makes from the document.

    Attributes:
      name: as it stands in score files and reports.
      question: what the family asks of a token, in one line.
      labels: label -> its definition in one line, in index order; None where the labels are the domains of the data.
        By position, the first is the label of what the question does not concern: begin, end and padding have it.
      assign: vocabulary -> label names.
      column: the integer column of the batch it reads.
      compile: document -> label indices. rule: how characters label a token: majority, first, any, or `PER_TOKEN`.
      is_ordered: whether the labels after the first rise, so that a filter may say `copy >= 5`.
      needs: the part of the lexicon that `compile` reads, "" for none.
    """

    name: str
    question: str
    labels: Mapping[str, str] | None
    assign: Assign | None = None
    column: str | None = None
    compile: Compile | None = None
    rule: str = PER_TOKEN
    is_ordered: bool = False
    needs: str = ""

    def __post_init__(self):
        require(
            self.assign is not None or self.column is not None,
            f"family {self.name!r} has neither `assign` nor `column`: nothing says which label a token gets.",
        )
        require(
            self.labels is None or 0 < len(self.labels) <= 128,
            f"family {self.name!r} has {len(self.labels or ())} labels, but 1 to 128 fit its int8 table.",
        )
        one_of(f"rule of family {self.name!r}", self.rule, (*RULES, PER_TOKEN))

    @property
    def source(self) -> str:
        """Where the label of a token comes from, in words."""
        if self.assign:
            return "vocabulary id and language" if self.column else "vocabulary id"
        if not self.compile:
            return f"column {self.column}"
        return "position in the document" if self.rule == PER_TOKEN else f"text of the document, rule {self.rule!r}"


def by_position(**options) -> Family:
    """A family whose `compile` fills the column of the same name; options are those of `Family`."""
    return Family(column=options["name"], **options)


def each_token(label: Callable[[bytes], str]) -> Assign:
    """The `assign` of a family whose label follows from the bytes of one token."""
    return lambda vocabulary: [label(token) for token in vocabulary.tokens]


def labels_of(family: Family, vocabulary: Vocabulary) -> Mapping[str, str]:
    """Label -> definition, with the domains filled in."""
    if family.labels is None:
        return {domain: f"documents of {domain}" for domain in vocabulary.domains}
    return family.labels
