"""What a model is trained to predict, as data: a layout, a corruption and a place for the target.

Autoregression, prefix-LM, masked LM, masked and block diffusion and their mixtures are values of one record; the
functions below give them by name. `hybridlm.objectives` turns a record into targets and weights.
"""

import dataclasses
import re

from hybridlm.config.errors import one_of, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """One objective of a mixture.

    Attributes:
      ratio: share of the mixture's possible targets, and weight of the objective's mean loss.
      layout: how documents are cut into blocks of mutually visible tokens: "causal" (every token its own block),
        "prefix" (the first n tokens one block, then causal), "bidirectional" (the document one block) or "blocks".
      corruption: what happens to the input: "none", "absorbing" (tokens become the mask token with probability
        1 - alpha(t), one t a document or block), "all" (every token is masked, t = 1) or "masked_lm" (BERT's).
      predicts: "next" stores a token's target at the position before it, "same" at its own position.
      streams: 1, or 2 for a clean copy of the text beside the noisy one, so that noisy blocks see clean earlier blocks.
      block_size: tokens per block for layout "blocks", counted from the start of each document.
      schedule: alpha(t) of "absorbing": "linear", "cosine" or "polynomial:k" for a number k > 0.
      prefix: the smallest and largest share of a document that layout "prefix" shows; drawn uniformly in between.
      rate, keep, random: for "masked_lm", the share of tokens selected, and of these the shares left as they are and
        replaced by a random token (Devlin et al. 2019: 0.15, 0.1, 0.1).
      across_documents: True lets attention cross document boundaries inside a packed row (plain causal only).
      builder: import path "package.module:function" of a user's own function, called like
        `hybridlm.objectives.single.build`, that builds the inputs instead; `streams` says how wide they are, and layout
        and corruption what is reported of them.
    """

    ratio: float = 1.0
    layout: str = "causal"
    corruption: str = "none"
    predicts: str = "next"
    streams: int = 1
    block_size: int = 0
    schedule: str = "linear"
    prefix: tuple[float, ...] = ()
    rate: float = 0.15
    keep: float = 0.1
    random: float = 0.1
    across_documents: bool = False
    builder: str = ""

    def __post_init__(self):
        one_of("objective.layout", self.layout, ("causal", "prefix", "bidirectional", "blocks"))
        one_of("objective.corruption", self.corruption, ("none", "absorbing", "all", "masked_lm"))
        one_of("objective.predicts", self.predicts, ("next", "same"))
        require(
            re.fullmatch(r"linear|cosine|polynomial:\d*\.?\d+", self.schedule) is not None,
            f"objective.schedule={self.schedule!r} must be 'linear', 'cosine' or 'polynomial:k' with a number k > 0.",
        )
        require(self.ratio > 0, f"objective.ratio={self.ratio} must be positive; leave an unused objective out.")
        require(self.streams in (1, 2), f"objective.streams={self.streams} must be 1, or 2 for clean and noisy copies.")
        require(
            0 < self.rate <= 1 and 0 <= self.keep < 1 and 0 <= self.random <= 1 - self.keep,
            "masked_lm needs 0 < rate <= 1, keep < 1 (or nothing is hidden) and keep + random <= 1; got "
            f"rate={self.rate}, keep={self.keep}, random={self.random}.",
        )
        require(
            not self.builder or re.fullmatch(r"[\w.]+:\w+", self.builder) is not None,
            f"objective.builder={self.builder!r} must be an import path 'package.module:function'.",
        )
        self._check_layout()
        if not self.builder:
            self._check_leaks()

    def _check_layout(self):
        require(
            (self.layout == "blocks") == (self.block_size > 0),
            f"objective.block_size={self.block_size} goes with layout='blocks' and with nothing else; layout is "
            f"{self.layout!r}.",
        )
        require(
            (self.layout == "prefix") == bool(self.prefix),
            f"objective.prefix={self.prefix} goes with layout='prefix' and with nothing else: it is what is seen whole "
            f"before the tokens that are predicted left to right; layout is {self.layout!r}.",
        )
        require(
            not self.prefix or (len(self.prefix) == 2 and 0 <= self.prefix[0] <= self.prefix[1] < 1),
            f"objective.prefix={self.prefix} must be (smallest, largest) shares of a document, with 0 <= smallest <= "
            "largest < 1.",
        )
        require(
            not self.across_documents or (self.layout == "causal" and self.streams == 1),
            "objective.across_documents is for layout='causal' with one stream: other layouts are cut per document.",
        )

    def _check_leaks(self):
        sees_target = self.corruption == "none" and (
            self.predicts == "same" or self.layout in ("bidirectional", "blocks")
        )
        require(
            not sees_target,
            f"layout={self.layout!r} with corruption='none' and predicts={self.predicts!r} would show the model the "
            "token it has to predict. Corrupt the input ('absorbing', 'masked_lm'), or use layout 'causal' or 'prefix' "
            "with predicts='next'.",
        )
        require(
            self.streams == 1 or self.corruption in ("absorbing", "all"),
            f"objective.streams=2 needs a noisy copy, and corruption={self.corruption!r} makes none; use 'absorbing' "
            "or 'all'.",
        )
        require(
            self.streams == 1 or self.layout == "blocks",
            "objective.streams=2 shows noisy blocks the clean blocks before them, so it needs layout='blocks'; with "
            f"layout={self.layout!r} a clean copy has no use, or shows what is to be predicted.",
        )
        require(
            not (self.streams == 2 and self.predicts == "next"),
            "objective.streams=2 predicts at the noisy token itself, since the token before a block is in the other "
            "stream; use predicts='same'.",
        )

    @property
    def is_bound(self) -> bool:
        """True if the loss is a likelihood bound, a token's part of it a share; "all" leaves nothing to chance."""
        return self.corruption == "absorbing"

    @property
    def is_autoregressive(self) -> bool:
        """True if every token is predicted from all clean tokens before it."""
        return self.layout == "causal" and self.corruption == "none" and not self.builder

    @property
    def targets_per_token(self) -> float:
        """Expected share of a row's tokens that are possible targets."""
        return 1 - sum(self.prefix) / 2 if self.prefix else 1.0

    @property
    def weight_per_target(self) -> float:
        """Expected weight of a possible target; those of a bound make up for the tokens that a draw leaves out."""
        return self.rate if self.corruption == "masked_lm" else 1.0


def autoregressive(**changes) -> Objective:
    """Next-token prediction: -log p(x) = sum_i -log p(x_i | x_<i), exact."""
    return Objective(**changes)


def prefix_lm(low: float = 0.0, high: float = 0.9, **changes) -> Objective:
    """Next-token prediction after a prefix that is seen in both directions (Raffel et al. 2020, 1910.10683, §3.2.1)."""
    return Objective(layout="prefix", prefix=(low, high), **changes)


def masked_lm(rate: float = 0.15, **changes) -> Objective:
    """BERT's objective (Devlin et al. 2019, 1810.04805); `predicts="next"` is GPT-BERT's shift (2410.24159)."""
    return Objective(
        **{"layout": "bidirectional", "corruption": "masked_lm", "predicts": "same", "rate": rate, **changes}
    )


def masked_diffusion(schedule: str = "linear", **changes) -> Objective:
    """MDLM / MD4: the NELBO of absorbing diffusion over whole documents (2406.07524 Eq. 10, 2406.04329 Eq. 5)."""
    return Objective(
        **{"layout": "bidirectional", "corruption": "absorbing", "predicts": "same", "schedule": schedule, **changes}
    )


def block_diffusion(size: int, schedule: str = "linear", **changes) -> Objective:
    """BD3-LM: blocks left to right, diffusion inside, clean and noisy streams side by side (2503.09573 Eq. 8)."""
    return Objective(
        **{
            "layout": "blocks",
            "corruption": "absorbing",
            "predicts": "same",
            "streams": 2,
            "block_size": size,
            "schedule": schedule,
            **changes,
        }
    )
