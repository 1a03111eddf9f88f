"""How a model is read on held-out text: one column of the report per reading, all on the same targets."""

import dataclasses

from hybridlm.config.errors import one_of, require
from hybridlm.config.objective import Objective, autoregressive, block_diffusion, masked_diffusion, prefix_lm


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """One way of reading the model.

    Attributes:
      objective: what is visible and predicted; its ratio plays no part.
      samples: Monte-Carlo samples of a bound per document; ignored where the reading is exact.
    """

    objective: Objective
    samples: int = 8

    def __post_init__(self):
        require(self.samples >= 1, f"reading.samples={self.samples} must be at least 1.")
        require(
            self.samples >= 2 or not self.objective.is_bound,
            "a bound needs reading.samples >= 2, or its Monte-Carlo error could not be told.",
        )


def standard_readings(block_size: int = 16, samples: int = 8) -> dict[str, Reading]:
    """Autoregressive, prefix, block-diffusion and masked-diffusion readings of one model."""
    return {
        "ar": Reading(objective=autoregressive()),
        "prefix": Reading(objective=prefix_lm(0.5, 0.5)),
        "block": Reading(objective=block_diffusion(block_size), samples=samples),
        "masked": Reading(objective=masked_diffusion(), samples=samples),
    }


SHOWN = (
    "frequency_mass",
    "word_band",
    "word_class",
    "character_type",
    "code",
    "bracket_role",
    "number_kind",
    "copy",
    "subword",
    "document_position",
    "domain",
)
"""Families that answer the questions people come with, one of each kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Attributes:
    split: "validation" or "test". every: steps between evaluations during training; 0 evaluates at the end alone.
    rows: at most this many rows of the split, 0 for all. batch_rows: rows per forward pass.
    context: tokens of its document that a scored token sees at least, or all before it where there are fewer; rows then
      overlap by as many, and each token is scored once. 0 reads the rows as they are.
    readings: columns of the report by name. draws: bootstrap draws over split groups. seed: of Monte-Carlo samples.
    families: of labels, shown in the table and on the page; files hold all there are, and () shows them too.
    """

    split: str = "validation"
    every: int = 0
    rows: int = 0
    batch_rows: int = 32
    context: int = 0
    readings: dict[str, Reading] = dataclasses.field(default_factory=standard_readings)
    draws: int = 2000
    seed: int = 0
    families: tuple[str, ...] = SHOWN

    def __post_init__(self):
        one_of("evaluation.split", self.split, ("validation", "test"))
        for field in ("batch_rows", "draws"):
            value = getattr(self, field)
            require(value >= 1, f"evaluation.{field}={value} must be at least 1.")
        require(len(self.readings) > 0, "evaluation.readings is empty; name at least one way of reading the model.")
        for field in ("rows", "every", "context"):
            require(getattr(self, field) >= 0, f"evaluation.{field}={getattr(self, field)} must not be negative.")
        others = [name for name, reading in self.readings.items() if not reading.objective.is_autoregressive]
        require(
            not self.context or not others,
            f"evaluation.context={self.context} lets rows overlap, of which only readings from left to right can make "
            f"use; leave out {', '.join(others)} (hybridlm evaluate takes --readings=ar).",
        )
