"""One small config for all tests of planning, and its plan on four CPU devices, compiled once."""

import pytest

from hybridlm.config.data import DataConfig
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.config.training import TrainingConfig
from hybridlm.planning import chips, plan


@pytest.fixture(scope="session")
def experiment():
    return Experiment(
        name="small",
        data=DataConfig(vocab_size=512, row_length=128),
        model=ModelConfig(width=64, layers=4, heads=4, kv_heads=2, ffn=128, loop="scan", remat="full"),
        objectives={"ar": autoregressive()},
        training=TrainingConfig(batch_rows=16, categories=False),
        mesh=MeshConfig(data=1, fsdp=-1),
    )


@pytest.fixture(scope="session")
def planned(experiment):
    return plan.make(experiment, chips.parse("cpu:4"))
