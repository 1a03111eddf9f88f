"""How a model is read on held-out text: one column of the report per reading, all on the same targets."""

import dataclasses
from collections.abc import Mapping

from hybridlm.config.combination import Combination
from hybridlm.config.errors import nearest, one_of, require, unplaced
from hybridlm.config.objective import Objective, autoregressive, block_diffusion, masked_diffusion, prefix_lm

ESTIMATORS = ("objective", "chain", "enumeration", "order_mixture", "leave_one_out")
ORDERS = ("left_to_right", "confidence", "entropy")
READ_GOLD = ("margin", "nll", "loss", "rank", "accuracy", "gold", "oracle")
"""Orders that know the answer; a token's margin, as scores have it, is that of its own logit."""
LARGEST_ENUMERATED = 8
"""Tokens of a block, of which all 2^B - 1 sets are masked in turn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """One way of reading the model.

    Attributes:
      objective: what is visible and predicted; its ratio plays no part.
      estimator: what is made of its predictions:
        "objective": the objective's own value, exact in one pass or a bound with Monte-Carlo samples.
        "chain": -log p of the text whose masked tokens are revealed one by one, exact.
        "enumeration": the bound of blocks without sampling, over every set of masked tokens.
        "order_mixture": -log p of a block that is revealed in an order drawn at random, exact.
        "leave_one_out": -log p of a token given all others, less the rest of its own word (a pseudo-likelihood).
      order: in which a chain reveals the tokens of a block, or of a document that is seen whole: "left_to_right", or
        the one next of which the network is surest by "confidence" or "entropy". It never depends on hidden tokens.
      samples: Monte-Carlo samples of a bound per document; ignored where the reading has none.
      copies: noisy copies of a row in one forward pass; 0 fills the pass by the length of the row.
      network: directory of another run with the same tokenizer, whose network is read so; "" reads the model's own.
    """

    objective: Objective
    estimator: str = "objective"
    order: str = "left_to_right"
    samples: int = 8
    copies: int = 0
    network: str = ""

    @unplaced()
    def __post_init__(self):
        one_of("reading.estimator", self.estimator, ESTIMATORS)
        require(
            self.order not in READ_GOLD,
            f"reading.order={self.order!r} reads the token that is to be predicted, so the order would tell of it and "
            "the chain would be no likelihood; take 'left_to_right', 'confidence' or 'entropy', which read predictions "
            "alone.",
        )
        one_of("reading.order", self.order, ORDERS)
        require(self.copies >= 0, f"reading.copies={self.copies} must not be negative; 0 fills a pass.")
        require(self.samples >= 1, f"reading.samples={self.samples} must be at least 1.")
        require(
            self.samples >= 2 or not self.is_sampled,
            "a bound needs reading.samples >= 2, or its Monte-Carlo error could not be told.",
        )
        require(
            self.order == "left_to_right" or self.estimator == "chain",
            f"reading.order={self.order!r} is that of a chain, but reading.estimator is {self.estimator!r}; take "
            "estimator='chain', or leave order out.",
        )
        if self.estimator != "objective":
            self._check_estimator()

    def _check_estimator(self):
        asked, objective = f"reading.estimator={self.estimator!r}", self.objective
        require(
            objective.corruption in ("absorbing", "masked_lm") and not objective.builder,
            f"{asked} masks tokens and asks for them, which needs an objective trained on masked tokens (corruption "
            f"'absorbing' or 'masked_lm'), but corruption is {objective.corruption!r}"
            f"{' with a builder' * bool(objective.builder)}; leave estimator out to read the objective as it is.",
        )
        require(
            objective.layout == "bidirectional" or (objective.layout == "blocks" and objective.predicts == "same"),
            f"{asked} is for documents that are seen whole (layout 'bidirectional') or blocks that predict at the "
            f"masked token itself (layout 'blocks', predicts 'same'), but layout is {objective.layout!r} and predicts "
            f"{objective.predicts!r}; from left to right, autoregressive() is exact in one pass.",
        )
        require(
            self.estimator not in ("enumeration", "order_mixture") or 0 < objective.block_size <= LARGEST_ENUMERATED,
            f"{asked} masks every set of tokens of a block, 2^B - 1 of them, for blocks of at most "
            f"{LARGEST_ENUMERATED}; block_size is {objective.block_size or 'the length of the document'}. Take "
            "estimator='objective' with more samples for the bound, or 'chain' for an exact likelihood.",
        )

    @property
    def scored(self) -> Objective:
        """The objective without what its clean stream predicts beside, which is a reading of its own."""
        return dataclasses.replace(self.objective, clean_weight=0.0)

    @property
    def is_sampled(self) -> bool:
        """Does its value depend on chance?"""
        return self.estimator == "objective" and self.objective.is_bound

    @property
    def has_predictions(self) -> bool:
        """Does one prediction stand behind each value?"""
        return not self.is_sampled and self.estimator in ("objective", "chain", "leave_one_out")


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
    readings: columns of the report by name. combinations: further columns, of two readings each.
    draws: bootstrap draws over split groups. seed: of Monte-Carlo samples.
    families: of labels, shown in the table and on the page, and one's own beside them; files hold all there are, and
        () shows them too.
    """

    split: str = "validation"
    every: int = 0
    rows: int = 0
    batch_rows: int = 32
    context: int = 0
    readings: dict[str, Reading] = dataclasses.field(default_factory=standard_readings)
    combinations: dict[str, Combination] = dataclasses.field(default_factory=dict)
    draws: int = 2000
    seed: int = 0
    families: tuple[str, ...] = SHOWN

    def __post_init__(self):
        one_of("evaluation.split", self.split, ("validation", "test"))
        for field in ("batch_rows", "draws"):
            value = getattr(self, field)
            require(value >= 1, f"evaluation.{field}={value} must be at least 1.")
        require(len(self.readings) > 0, "evaluation.readings is empty; name at least one way of reading the model.")
        self._check_combinations()
        for field in ("rows", "every", "context"):
            require(getattr(self, field) >= 0, f"evaluation.{field}={getattr(self, field)} must not be negative.")
        others = [name for name, reading in self.readings.items() if not reading.objective.is_autoregressive]
        require(
            not self.context or not others,
            f"evaluation.context={self.context} lets rows overlap, of which only readings from left to right can make "
            f"use; leave out {', '.join(others)} (hybridlm evaluate takes --readings=ar).",
        )

    def _check_combinations(self):
        for name, combination in self.combinations.items():
            where = f"evaluation.combinations.{name}"
            require(name not in self.readings, f"{where} has the name of a reading; give its column another one.")
            check_experts(f"{where}.experts", combination, self.readings)


def check_experts(where: str, combination: Combination, readings: Mapping[str, Reading]) -> None:
    """Raises ConfigError unless one distribution per token stands behind each reading that a combination joins."""
    for expert in combination.experts:
        require(expert in readings, f"{where} names {expert!r}, which is no reading{nearest(expert, readings)}")
        require(
            readings[expert].has_predictions,
            f"{where} names {expert!r}, a bound or a mixture of orders, behind whose values stands no one distribution "
            "per token; take a reading of the same objective with estimator='chain', "
            f"{expert.split(':')[0]}:chain in flags.",
        )
