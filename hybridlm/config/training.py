"""How a model is trained: steps, optimizer, checkpoints and logging."""

import dataclasses
import re

from hybridlm.config.errors import one_of, require
from hybridlm.config.token_weights import TokenWeight

_RANGES = (
    ("warmup", 0, float("inf")),
    ("decay", 0, 1),
    ("final", 0, 1),
    ("b1", 0, 0.999999),
    ("b2", 0, 0.999999),
    ("eps", 0, 1),
    ("weight_decay", 0, float("inf")),
    ("clip", 0, float("inf")),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with warm-up and a schedule, or any other optax transformation.

    Attributes:
      name: "adamw", or an import path "package.module:function" that takes (learning_rate, **options) and returns an
        optax.GradientTransformation; clipping and weight decay masks are then its own affair.
      learning_rate: peak. schedule: "cosine", "wsd" (warm-up, stable, linear decay) or "constant".
      warmup: steps from 0 to the peak. decay: for "wsd", the last share of all steps. final: the last rate as a share
        of the peak.
      b1, b2, eps, weight_decay: AdamW's; decay touches matrices alone, never norms, biases or embeddings.
      clip: largest global gradient norm; 0 is no clipping.
      first_moment: dtype of AdamW's mean of gradients; "bfloat16" saves 2 of its 8 bytes a parameter, and traffic.
      options: further keyword arguments for an imported optimizer.
    """

    name: str = "adamw"
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    warmup: int = 50
    decay: float = 0.2
    final: float = 0.1
    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0
    first_moment: str = "float32"
    options: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        one_of("optimizer.schedule", self.schedule, ("cosine", "wsd", "constant"))
        one_of("optimizer.first_moment", self.first_moment, ("float32", "bfloat16"))
        require(self.learning_rate > 0, f"optimizer.learning_rate={self.learning_rate} must be positive.")
        for field, low, high in _RANGES:
            value = getattr(self, field)
            require(
                low <= value <= high,
                f"optimizer.{field}={value} must lie between {low} and {high}; outside, the update would not descend.",
            )
        require(
            self.name == "adamw" or ":" in self.name,
            f"optimizer.name={self.name!r} must be 'adamw' or an import path 'package.module:function', "
            "for example 'optax.contrib:muon'.",
        )

    def decay_steps(self, steps: int) -> int:
        """How many of the last steps the rate of "wsd" falls."""
        return round(self.decay * steps) if self.schedule == "wsd" else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Attributes: every: steps between checkpoints (the last step is always saved). keep: how many are kept."""

    every: int = 200
    keep: int = 3

    def __post_init__(self):
        require(self.every >= 1 and self.keep >= 1, "checkpoint.every and checkpoint.keep must be at least 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Attributes:
    steps: optimizer steps. batch_rows: rows of text per step over all devices. accumulate: microbatches per step.
    log_every: steps between logged metrics. patience: non-finite steps in a row before the run stops (exit 70).
    categories: whether the loss is logged by token category. filters: name -> which tokens a further mean is logged of,
    such as {"new_content": "content & ~copy1"}; labels of positions that it reads must be among data.labels.
    start_from: directory of another run, whose newest parameters this one starts with; "" draws them fresh.
    token_weights: factors on the loss of some tokens, which no score sees.
    head_chunk: tokens whose logits exist at once on each device, at 4 V bytes each; accelerators are faster with more.
    wandb: project name for Weights & Biases, "" for none.
    """

    steps: int = 600
    batch_rows: int = 32
    accumulate: int = 1
    log_every: int = 20
    patience: int = 5
    categories: bool = True
    filters: dict[str, str] = dataclasses.field(default_factory=dict)
    start_from: str = ""
    token_weights: tuple[TokenWeight, ...] = ()
    head_chunk: int = 1024
    wandb: str = ""

    def __post_init__(self):
        for field in ("steps", "batch_rows", "accumulate", "log_every", "patience", "head_chunk"):
            value = getattr(self, field)
            require(value >= 1, f"training.{field}={value} must be at least 1.")
        require(
            self.batch_rows % self.accumulate == 0,
            f"training.accumulate={self.accumulate} must divide training.batch_rows={self.batch_rows}.",
        )
        self._check_filters()

    def _check_filters(self) -> None:
        unfit = [name for name in self.filters if not re.fullmatch(r"[\w.-]+", name)]
        require(
            not unfit,
            f"training.filters has the names {unfit}, which become the end of a metric's name, filtered/ar/NAME; use "
            "letters, digits, '_', '.' and '-'.",
        )
        require(
            self.categories or not self.filters,
            f"training.filters={self.filters} read the labels of tokens, and training.categories=False makes none; "
            "leave one of them out.",
        )
