"""What all runs share: the text, the network, the optimizer and the number of tokens. Nothing here was tuned.

Documents of the biomedical domain are held out whole: they are what "a domain left out" means.
"""

from hybridlm.config.data import DataConfig
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.sources import Mixing, Source
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig

DOMAINS = ("prose", "encyclopaedic", "technical", "scientific", "code_python", "sql", "yaml_json", "numbers")
LEFT_OUT = "biomedical"
ROW_LENGTH = 512
STEPS = 800
KEPT = 80, 9
"""Steps between the checkpoints of plain autoregression, and how many are kept: one of them becomes the placebo."""


def data(corpus: str) -> DataConfig:
    """16 MB of training text at most of each domain, all read alike; a vocabulary that fills the bands of rare ids."""
    sources = tuple(Source(path=f"{corpus}/{name}.jsonl.zst", name=name) for name in DOMAINS)
    mixing = Mixing(shares=dict.fromkeys(DOMAINS, 1 / len(DOMAINS)))
    return DataConfig(
        sources=sources, mixing=(mixing,), vocab_size=16_384, row_length=ROW_LENGTH, limit_bytes=16_000_000
    )


def shape(corpus: str, prepared: str) -> Experiment:
    """25.7M parameters beside the embedding, 65,536 tokens a step."""
    model = ModelConfig(
        width=512, layers=8, heads=8, kv_heads=8, ffn=1408, vocab_multiple=128, head_bias=True, dtype="bfloat16"
    )
    text = data(corpus)
    return Experiment(
        name="hybrids",
        data=DataConfig(**{**vars(text), "prepared": prepared}),
        model=model,
        optimizer=OptimizerConfig(learning_rate=2e-3, warmup=100, schedule="wsd", decay=0.2, final=0.02),
        training=TrainingConfig(steps=STEPS, batch_rows=128, log_every=50, head_chunk=8192),
        checkpoint=CheckpointConfig(every=STEPS, keep=1),
        evaluation=EvaluationConfig(split="test", rows=2048, batch_rows=32),
    )
