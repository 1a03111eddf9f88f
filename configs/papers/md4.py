"""MD4 (Shi et al. 2024, arXiv:2406.04329) on text8, letter by letter, at the paper's size. Not run here.

    bash run_tpu.sh hybridlm train --config=configs/papers/md4.py --workdir=runs/papers/md4

Published: ≤ 1.37 bits per character, where autoregression has 1.23; less than a day on 16 TPU v5 lite. The text is a
directory of tokens, one id for each of the 27 characters (docs/data.md), split at 90 and 95 million characters.
Differs: a row opens with BOS, so that it holds 255 characters; no dropout (0.05), no average of weights (0.9999).
"""

from hybridlm.config.data import DataConfig
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import masked_diffusion
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig


def get_config() -> Experiment:
    """Twelve layers of width 768 whose norms are told the time, linear noise."""
    return Experiment(
        name="md4",
        data=DataConfig(sources=("data/text8",), tokenizer="source", row_length=256, validation=0.05, test=0.05),
        model=ModelConfig(
            width=768,
            layers=12,
            heads=12,
            kv_heads=12,
            ffn=2048,
            tied_head=False,
            time_conditioning=True,
            dtype="bfloat16",
        ),
        objectives={"masked": masked_diffusion("linear")},
        optimizer=OptimizerConfig(
            learning_rate=5e-4, schedule="cosine", warmup=2000, final=0.0, b2=0.999, weight_decay=0.03, clip=0.0
        ),
        training=TrainingConfig(steps=1_000_000, batch_rows=512, log_every=500, head_chunk=65_536),
        checkpoint=CheckpointConfig(every=5000, keep=3),
        evaluation=EvaluationConfig(
            split="test",
            batch_rows=64,
            readings={"masked": Reading(objective=masked_diffusion("linear"), samples=16)},
        ),
    )
