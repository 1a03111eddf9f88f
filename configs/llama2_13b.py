"""Llama-2-13B's shape, to be planned for or trained on a pod by next-token prediction.

    bash run_tpu.sh hybridlm plan --config=configs/llama2_13b.py --topology=v5p:4x4x4

Question: does 13B fit a v5p-128 (64 chips of two cores) at four rows of 4096 tokens a chip?
Hardware: a v5p-128 (docs/scaling.md).
"""

from hybridlm.config.data import DataConfig
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.objective import autoregressive
from hybridlm.config.presets import preset
from hybridlm.config.training import OptimizerConfig, TrainingConfig


def get_config() -> Experiment:
    """Four rows a chip of a v5p-128, parameters divided over all of them."""
    return Experiment(
        name="llama2_13b",
        data=DataConfig(vocab_size=32_000, row_length=4096),
        model=preset("13B", remat="full"),
        objectives={"ar": autoregressive()},
        optimizer=OptimizerConfig(learning_rate=2e-4, warmup=2000),
        training=TrainingConfig(steps=500_000, batch_rows=256, head_chunk=4096, categories=False),
        mesh=MeshConfig(data=1, fsdp=-1),
    )
