"""A run as one value: every part, and the checks that concern more than one of them."""

import dataclasses

from hybridlm.config import trained
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import Objective, autoregressive
from hybridlm.config.operation import OperationConfig
from hybridlm.config.rows import refusal
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig
from hybridlm.masks import Mask


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is trained on what, how, and how it is read afterwards.

    Attributes:
      name: what the run is, for reports. seed: of initial weights, order of rows and noise.
      data: the text and its rows. model: the network.
      objectives: the mixture by name. mask: a user's own mask, joined by & with what each objective shows, or None.
      optimizer, training, mesh, checkpoint: how it is trained, on which devices, and what is kept of it.
      evaluation: how it is read on held-out text.
      operation: how it is watched while it runs, which changes no number of it.
    """

    name: str
    seed: int = 0
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    objectives: dict[str, Objective] = dataclasses.field(default_factory=lambda: {"ar": autoregressive()})
    mask: Mask | None = None
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    checkpoint: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    operation: OperationConfig = dataclasses.field(default_factory=OperationConfig)

    def __post_init__(self):
        require(len(self.objectives) > 0, "objectives is empty; a model learns from at least one.")
        self._check_lengths()
        self._check_vocabulary()
        self._check_mesh()
        self._check_rows()
        shorter = (
            f"a run this short may warm up in a tenth of it: --config.optimizer.warmup={self.training.steps // 10}."
        )
        require(
            self.optimizer.warmup <= self.training.steps,
            f"optimizer.warmup={self.optimizer.warmup} is longer than training.steps={self.training.steps}; {shorter}",
        )
        falling = self.optimizer.decay_steps(self.training.steps)
        require(
            self.optimizer.warmup + falling < self.training.steps or falling == 0,
            f"optimizer.warmup={self.optimizer.warmup} and a decay over {falling} steps (optimizer.decay="
            f"{self.optimizer.decay}) leave none of training.steps={self.training.steps}; shorten one; {shorter}",
        )
        require(
            self.evaluation.split != "test" or any(self.data.held_out(source)[1] for source in self.data.named_sources),
            "evaluation.split='test' needs a test split; data.test=0 makes none.",
        )
        for name, reading in self.evaluation.readings.items():
            trained.check(f"evaluation.readings.{name}", reading, self.objectives)
        crossing = [f"objectives.{name}" for name, one in self.objectives.items() if one.across_documents]
        require(
            len(self.objectives) == 1 or not crossing,
            f"{', '.join(crossing)}: across_documents works for a single objective; a mixture isolates documents.",
        )

    def _check_lengths(self):
        length = self.data.row_length
        for where, objective in self._all_objectives():
            size = objective.block_size
            divisors = [n for n in range(1, length + 1) if length % n == 0]
            require(
                size == 0 or length % size == 0,
                f"{where}.block_size={size} does not divide data.row_length={length}, so rows would end inside a "
                f"block; use one of {divisors}.",
            )
        require(
            self.model.positions != "learned" or self.model.max_positions >= length,
            f"model.max_positions={self.model.max_positions} cannot number rows of data.row_length={length}.",
        )

    def _all_objectives(self):
        yield from ((f"objectives.{name}", objective) for name, objective in self.objectives.items())
        yield from ((f"evaluation.readings.{name}", read.objective) for name, read in self.evaluation.readings.items())

    def _check_vocabulary(self):
        require(
            self.data.tokenizer != "train" or self.model.vocab_size in (0, self.data.vocab_size),
            f"model.vocab_size={self.model.vocab_size} differs from the tokenizer's data.vocab_size="
            f"{self.data.vocab_size}; leave --config.model.vocab_size at 0 to take the tokenizer's, and pad with "
            "--config.model.vocab_multiple.",
        )

    def _check_mesh(self):
        tensor, model = self.mesh.tensor, self.model
        for field in ("heads", "kv_heads", "ffn"):
            value = getattr(model, field)
            require(
                tensor == -1 or value % tensor == 0,
                f"mesh.tensor={tensor} does not divide model.{field}={value}; use one of "
                f"{[n for n in range(1, value + 1) if value % n == 0]}.",
            )
        sequence, length = self.mesh.sequence, self.data.row_length
        require(
            sequence == -1 or length % sequence == 0,
            f"mesh.sequence={sequence} does not divide data.row_length={length}; use one of "
            f"{[n for n in range(1, length + 1) if length % n == 0]}.",
        )

    def _check_rows(self):
        training = self.training
        wrong = refusal(
            self.objectives, training.batch_rows, self.data.row_length, training.accumulate, self.mesh.row_ways
        )
        require(not wrong, f"{wrong}.")
