"""The smallest run that can meet every fault: two objectives in one mixture, one reading, hundreds of short steps.

    python -m hybridlm train --config=tests/faults/small.py --workdir=DIR --config.data.sources=TEXT

TEXT is a directory that `tests.end_to_end.tiny.write_text` has filled.
"""

import dataclasses

from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, masked_diffusion
from hybridlm.config.training import CheckpointConfig, TrainingConfig
from tests.end_to_end import tiny


def get_config() -> Experiment:
    """A few thousand parameters; two hundred steps take seconds."""
    return dataclasses.replace(
        tiny.get_config(),
        name="small",
        model=ModelConfig(width=16, layers=1, heads=2, kv_heads=2, ffn=16, vocab_multiple=8),
        objectives={"ar": autoregressive(ratio=0.5), "masked": masked_diffusion(ratio=0.5)},
        training=TrainingConfig(steps=200, batch_rows=8, log_every=5, categories=False),
        checkpoint=CheckpointConfig(every=10, keep=2),
        evaluation=EvaluationConfig(
            batch_rows=16, rows=16, readings={"ar": Reading(objective=autoregressive())}, draws=20
        ),
    )
