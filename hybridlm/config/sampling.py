"""How text is drawn from a model, as data."""

import dataclasses
from collections.abc import Sequence

from hybridlm.config.combination import Combination
from hybridlm.config.errors import nearest, one_of, require

COMBINED = "combined"
"""The sampler that writes with two experts."""
SAMPLERS = (
    "autoregressive",
    "speculative",
    "masked_diffusion",
    "uniform_diffusion",
    "block_diffusion",
    "eso_lm",
    COMBINED,
)
"""Names alone, so that a wrong one is refused before anything is loaded; `hybridlm.sampling` has what they do."""
BY_TIME = "time"
"""The order of ancestral sampling, in which time and chance decide what is written."""
ORDERS = ("random", "left_to_right", "confidence", "margin", "entropy", BY_TIME)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """How a token is chosen from a prediction.

    Attributes:
      temperature: logits are divided by it; 0 takes the likeliest id.
      top_k: only so many of the likeliest ids; 0 keeps all.
      top_p: only the fewest of the likeliest ids that hold this much probability together, the one that reaches it
        included (Holtzman et al. 2020, 1904.09751); 1 keeps all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        require(
            0 <= self.temperature < float("inf"),
            f"temperature={self.temperature} must not be negative; 0 takes the likeliest token, 1 samples as trained.",
        )
        require(self.top_k >= 0, f"top_k={self.top_k} counts ids that may be drawn; 0 keeps all.")
        require(
            0 < self.top_p <= 1,
            f"top_p={self.top_p} is a share of probability in (0, 1]; 1 keeps all ids.",
        )


GREEDY = Choice(temperature=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """What is written, and how.

    Attributes:
      sampler: a name of `SAMPLERS`.
      combination: of "combined"; its experts are named as `--readings` of `hybridlm evaluate` are.
      tokens: how many new ones at most. num: texts per prompt. seed: of the noise.
      choice: how a token is chosen from a prediction. stop: strings before which a text ends.
      chunk: tokens of a row written on the device before the host looks at them.
      block_size: tokens per block of "block_diffusion" and per draft of "speculative"; 0 is that of training.
      steps: passes of a diffusion sampler over what it writes at once; None is one per token.
      order: of the tokens that a diffusion sampler writes, a name of `ORDERS`; "time" is the reverse process on a
        grid of times.
      threshold, bound: where orders "confidence" and "entropy" write more at once (`hybridlm.sampling.masked.Ordered`).
      remask: share of what the schedule allows that order "time" masks again; 0 is never.
      record: whether a diffusion sampler keeps its steps, to be looked at.
    """

    sampler: str = "autoregressive"
    combination: Combination | None = None
    tokens: int = 64
    num: int = 1
    seed: int = 0
    choice: Choice = Choice()
    stop: tuple[str, ...] = ()
    chunk: int = 32
    block_size: int = 0
    steps: int | None = None
    order: str = "random"
    threshold: float = 0.0
    bound: float = 0.0
    remask: float = 0.0
    record: bool = False

    def __post_init__(self):
        require(self.sampler in SAMPLERS, f"there is no sampler {self.sampler!r}{nearest(self.sampler, SAMPLERS)}")
        one_of("order", self.order, ORDERS)
        for field in ("tokens", "num", "chunk"):
            value = getattr(self, field)
            require(value >= 1, f"{field}={value} must be at least 1.")
        require(self.block_size >= 0, f"block_size={self.block_size} must be at least 1; 0 is that of training.")
        require(
            self.steps is None or self.steps >= 1,
            f"steps={self.steps} must be at least 1; as many as there are tokens to write is exact, fewer are faster.",
        )
        require(
            0 <= self.threshold <= 1,
            f"threshold={self.threshold} is the probability from which tokens are written at once, so it must lie "
            "between 0 and 1; at 0 none is.",
        )
        require(
            (self.sampler == COMBINED) == (self.combination is not None),
            f"sampler={self.sampler!r} with combination={self.combination}: a combination is what the sampler "
            f"{COMBINED!r} writes with, so name both, such as --sampler=combined --experts=ar,block:chain "
            "--combination=average(0.5), or none.",
        )
        require(
            self.sampler != COMBINED or not self.record,
            f"sampler {COMBINED!r} writes no token twice, so there are no steps to look at; leave the picture out.",
        )
        require(all(self.stop), "an empty stop string would end every text before it begins; leave it out.")


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuses to begin from nothing."""
    require(
        len(prompts) > 0 and all(prompts),
        "--prompt is empty, but a model continues a text; give it the beginning of one.",
    )
