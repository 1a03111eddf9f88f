"""Quickstart: one small model trained on four objectives at once, on text that every Python brings along.

    bash run_tpu.sh hybridlm train --config=configs/quickstart.py --workdir=runs/quickstart

Question: which kinds of token does one set of weights predict better left to right, and which by filling in?
Hardware and time: two CPU cores, under five minutes after set-up.
"""

from hybridlm.config.data import DataConfig
from hybridlm.config.evaluation import EvaluationConfig, standard_readings
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, prefix_lm
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig


def get_config() -> Experiment:
    """A decoder of half a million parameters on the interpreter's own library."""
    return Experiment(
        name="quickstart",
        data=DataConfig(sources=("embedded",), vocab_size=1024, row_length=128, validation=0.2, limit_bytes=3_000_000),
        model=ModelConfig(width=128, layers=2, heads=4, kv_heads=4, ffn=352, head_bias=True),
        objectives={
            "ar": autoregressive(ratio=0.3),
            "prefix": prefix_lm(0.0, 0.8, ratio=0.1),
            "block": block_diffusion(16, ratio=0.3),
            "masked": masked_diffusion(ratio=0.3),
        },
        optimizer=OptimizerConfig(learning_rate=4e-3, warmup=40, schedule="wsd", decay=0.3, final=0.02),
        training=TrainingConfig(steps=360, batch_rows=32, log_every=20),
        checkpoint=CheckpointConfig(every=200, keep=2),
        evaluation=EvaluationConfig(rows=320, batch_rows=32, readings=standard_readings(block_size=16, samples=4)),
    )
