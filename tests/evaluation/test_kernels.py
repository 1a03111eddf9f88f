"""A kernel of another machine is refused by the config and the devices alone."""

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.model import ModelConfig
from hybridlm.evaluation import kernels


@pytest.mark.parametrize("backend", ["auto", "dense"])
def test_what_runs_everywhere_is_not_refused(backend):
    kernels.check(ModelConfig(attention_backend=backend))


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ("cudnn", "cuDNN runs on NVIDIA GPUs, and this is cpu"),
        ("mosaic", "its kernels are for NVIDIA Hopper GPUs, and this is cpu"),
        ("splash", "its kernels are for TPUs, and this is cpu"),
    ],
)
def test_a_kernel_of_another_machine_is_refused_with_the_reason(backend, why):
    with pytest.raises(ConfigError) as refused:
        kernels.check(ModelConfig(attention_backend=backend))
    assert str(refused.value).startswith(f"model.attention_backend='{backend}': ") and why in str(refused.value)
