"""The columns of a report: one per reading or combination, and beside those of some targets others on the same ones."""

import dataclasses
from collections.abc import Mapping

from hybridlm.config.combination import Combination
from hybridlm.config.evaluation import Reading
from hybridlm.evaluation import combined
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
      is_detailed: does one prediction stand behind each value, whose entropy, rank and confidence can be told?
      is_combined: does it join two readings?
    """

    part: Part
    samples: int
    targets: str
    reading: str
    within: str = ""
    is_detailed: bool = True
    is_combined: bool = False


def columns(
    readings: Mapping[str, Reading], has_baseline: bool = True, combinations: Mapping[str, Combination] | None = None
) -> tuple[Column, ...]:
    """One column per reading, and per combination of two; beside a reading of some targets alone, the autoregressive
    one and the baseline on the same.

    There is no baseline for a model whose training frequencies nobody knows.
    """
    found = []
    left_to_right = next((n for n, r in readings.items() if r.objective.is_autoregressive), None)
    for name, reading in readings.items():
        some, targets = _targets(name, reading)
        samples = reading.samples if reading.is_sampled else 0
        found.append(Column(_part(name, reading), samples, targets, name, is_detailed=reading.has_predictions))
        if some and left_to_right:
            other = single.part(f"{left_to_right} {some}", readings[left_to_right].objective)
            found.append(Column(other, 0, targets, left_to_right, within=name))
        if some:
            found.append(Column(_unigram_part(f"{UNIGRAM} {some}"), 0, targets, UNIGRAM, name, is_detailed=False))
    for name, combination in (combinations or {}).items():
        targets = {_targets(expert, readings[expert])[1] for expert in combination.experts} - {ALL_TARGETS}
        part = combined.part(name, combination, readings)
        found.append(Column(part, 0, " and ".join(sorted(targets)) or ALL_TARGETS, name, is_combined=True))
    found.append(Column(_unigram_part(UNIGRAM), 0, ALL_TARGETS, UNIGRAM, is_detailed=False))
    return tuple(column for column in found if has_baseline or column.reading != UNIGRAM)


def _part(name: str, reading: Reading) -> Part:
    """What the values of a reading mean, and what its predictions saw."""
    own = single.part(name, reading.objective)
    network = f", by the network of {reading.network}" if reading.network else ""
    if reading.estimator == "objective":
        return dataclasses.replace(own, sees=own.sees + network)
    before = "earlier blocks whole, and in its own block " if reading.objective.block_size else "in its document "
    revealed = "what stands to the left" if reading.order == "left_to_right" else f"what is revealed by {reading.order}"
    kind, sees = {
        "chain": (ScoreKind.EXACT, revealed),
        "enumeration": (ScoreKind.SHARE, "all but every set of tokens in turn"),
        "order_mixture": (ScoreKind.EXACT, "what every order reveals before it (a part of the block's value)"),
        "leave_one_out": (ScoreKind.PSEUDO, "all other tokens, less the rest of its word"),
    }[reading.estimator]
    return Part(name, kind, before + sees + network)


def _targets(name: str, reading: Reading) -> tuple[str, str]:
    """How columns on the targets of a reading are called, if these are not all tokens, and which they are in words."""
    if reading.objective.prefix:
        return f"after {name}", "tokens after the prefix"
    if reading.estimator != "objective":
        return "", ALL_TARGETS
    if reading.objective.builder or reading.objective.corruption in ("masked_lm", "spans"):
        return f"on {name}", f"tokens that {name} predicts"
    return "", ALL_TARGETS


def _unigram_part(name: str) -> Part:
    return Part(name, ScoreKind.EXACT, "nothing: training frequencies alone")
