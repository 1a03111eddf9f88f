"""MDLM (Sahoo et al. 2024, arXiv:2406.07524) on OpenWebText at the paper's size. Not run here.

    bash run_tpu.sh hybridlm train --config=configs/papers/mdlm.py --workdir=runs/papers/mdlm

Published: test perplexity ≤ 22.98 after 1M steps of 512 × 1024 tokens, where the same network trained left to right has
17.54 (BD3-LM, arXiv:2503.09573, table 4); two weeks on 8 A100. The text is OpenWebText as Parquet or JSON lines and the
tokenizer GPT-2's `tokenizer.json`, neither of which is downloaded here.
Differs: documents of a packed row do not see each other; neither dropout (0.1) nor an average of weights (0.9999).
"""

from hybridlm.config.data import DataConfig
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import masked_diffusion
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig


def get_config() -> Experiment:
    """A transformer of GPT-2's small size that is not told the time, linear noise, constant rate."""
    return Experiment(
        name="mdlm",
        data=DataConfig(
            sources=("data/openwebtext",),
            prepared="runs/papers/openwebtext",
            tokenizer="data/gpt2/tokenizer.json",
            row_length=1024,
        ),
        model=ModelConfig(
            width=768,
            layers=12,
            heads=12,
            kv_heads=12,
            ffn=3072,
            activation="gelu_tanh",
            norm="layer",
            ffn_bias=True,
            tied_head=False,
            vocab_multiple=128,
            dtype="bfloat16",
        ),
        objectives={"masked": masked_diffusion("linear")},
        optimizer=OptimizerConfig(
            learning_rate=3e-4, schedule="constant", warmup=2500, b2=0.999, weight_decay=0.0, clip=1.0
        ),
        training=TrainingConfig(steps=1_000_000, batch_rows=512, log_every=100, head_chunk=8192),
        checkpoint=CheckpointConfig(every=10_000, keep=3),
        evaluation=EvaluationConfig(
            rows=4096, batch_rows=64, readings={"masked": Reading(objective=masked_diffusion("linear"), samples=16)}
        ),
    )
