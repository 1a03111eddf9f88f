"""Llama-2-7B's shape, trained by block diffusion: a clean and a noisy stream, so twice the positions.

    bash run_tpu.sh hybridlm plan --config=configs/llama2_7b_blocks.py --topology=v5e:16x16

Question: what does block diffusion cost beside configs/llama2_7b.py, which is the same but for the objective?
Hardware: a v5e-256 at one row of 4096 tokens a chip, or eight H100s (docs/scaling.md).
"""

from hybridlm.config.data import DataConfig
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.objective import block_diffusion
from hybridlm.config.presets import preset
from hybridlm.config.training import OptimizerConfig, TrainingConfig


def get_config() -> Experiment:
    """Blocks of 32 tokens; one row a chip of a v5e-256, parameters divided over all of them."""
    return Experiment(
        name="llama2_7b_blocks",
        data=DataConfig(vocab_size=32_000, row_length=4096),
        model=preset("7B", remat="full"),
        objectives={"blocks": block_diffusion(32)},
        optimizer=OptimizerConfig(learning_rate=3e-4, warmup=2000),
        training=TrainingConfig(steps=500_000, batch_rows=256, head_chunk=2048, categories=False),
        mesh=MeshConfig(data=1, fsdp=-1),
    )
