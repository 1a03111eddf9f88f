"""The columns of a report: one per reading, and beside readings of some targets alone, others on the same targets."""

import dataclasses
from collections.abc import Mapping

from hybridlm.config.evaluation import Reading
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import Part
from hybridlm.objectives import single

ALL_TARGETS = "all scored tokens"
UNIGRAM = "unigram"
"""The baseline column: what the training frequencies of ids alone say."""


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a report.

    Attributes:
      part: its name, what its values mean, and what a prediction saw. samples: Monte-Carlo samples, 0 where exact.
      targets: which tokens it scores. reading: the reading it comes from. within: another whose targets it keeps to.
    """

    part: Part
    samples: int
    targets: str
    reading: str
    within: str = ""

    @property
    def is_detailed(self) -> bool:
        """Does one prediction stand behind each value, whose entropy, rank and confidence can be told?"""
        return not self.samples and self.reading != UNIGRAM


def columns(readings: Mapping[str, Reading], has_baseline: bool = True) -> tuple[Column, ...]:
    """One column per reading; beside one of some targets alone, the autoregressive one and the baseline on the same.

    There is no baseline for a model whose training frequencies nobody knows.
    """
    found = []
    left_to_right = next((n for n, r in readings.items() if r.objective.is_autoregressive), None)
    for name, reading in readings.items():
        part = single.part(name, reading.objective)
        some, targets = _targets(name, reading)
        found.append(Column(part, reading.samples if part.kind == ScoreKind.SHARE else 0, targets, name))
        if some and left_to_right:
            other = single.part(f"{left_to_right} {some}", readings[left_to_right].objective)
            found.append(Column(other, 0, targets, left_to_right, within=name))
        if some:
            found.append(Column(_unigram_part(f"{UNIGRAM} {some}"), 0, targets, UNIGRAM, within=name))
    found.append(Column(_unigram_part(UNIGRAM), 0, ALL_TARGETS, UNIGRAM))
    return tuple(column for column in found if has_baseline or column.reading != UNIGRAM)


def _targets(name: str, reading: Reading) -> tuple[str, str]:
    """How columns on the targets of a reading are called, if these are not all tokens, and which they are in words."""
    if reading.objective.layout == "prefix":
        return f"after {name}", "tokens after the prefix"
    if reading.objective.builder or reading.objective.corruption == "masked_lm":
        return f"on {name}", f"tokens that {name} predicts"
    return "", ALL_TARGETS


def _unigram_part(name: str) -> Part:
    return Part(name, ScoreKind.EXACT, "nothing: training frequencies alone")
