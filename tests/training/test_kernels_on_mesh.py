"""A training step whose devices run kernels on rows of their own is the step of the plain path, and lowers for GPUs."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.data import DataConfig
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.config.training import TrainingConfig
from hybridlm.facts import devices
from hybridlm.models import norm_gradient
from hybridlm.planning import chips, program, workload
from hybridlm.scoring import odds
from hybridlm.sharding import placement
from hybridlm.sharding.mesh import make
from hybridlm.sharding.rules import constrain
from hybridlm.training.state import placed
from tests.scoring.test_odds_on_mesh import defined

ROWS, T = 8, 256
WIDE = ModelConfig(width=256, layers=2, heads=4, kv_heads=4, ffn=128, dtype="bfloat16", loop="scan", remat="full")


def gradient_of_norm(h_ND, stream_ND, normed_ND, r_N, scale_D):
    """What the kernel computes, with one thread block."""
    h_ND, d_ND, g_ND = (x.astype(jnp.float32) for x in (h_ND, stream_ND, normed_ND))
    share_N = jnp.mean(g_ND * scale_D * h_ND, 1) * r_N**2
    dh_ND = d_ND + r_N[:, None] * (g_ND * scale_D - h_ND * share_N[:, None])
    return dh_ND.astype(jnp.bfloat16), jnp.sum(g_ND * h_ND * r_N[:, None], 0, keepdims=True)


def planned(machine, **sizes):
    experiment = Experiment(
        name="wide",
        data=DataConfig(vocab_size=512, row_length=T),
        model=WIDE,
        objectives={"ar": autoregressive()},
        training=TrainingConfig(batch_rows=ROWS, categories=False),
        mesh=MeshConfig(**{"data": 1} | sizes),
    )
    topology = chips.parse(machine)
    found = jax.devices()[: math.prod(sizes.values())] if topology.chip.platform == "cpu" else None
    return workload.make(experiment, workload.task_of(experiment), topology, found), topology


def after_a_step(**sizes):
    """Loss, norm of the gradient, and the optimizer's moments after one step."""
    work, _ = planned(f"cpu:{math.prod(sizes.values())}", **sizes)
    columns = {name: np.ones((ROWS, T), np.int32) for name in work.batch}
    columns["tokens"] = np.random.default_rng(0).integers(4, 512, (ROWS, T)).astype(np.int32)
    columns["positions"] = np.tile(np.arange(T, dtype=np.int32), (ROWS, 1))
    optimizer = workload.optimizers.make(work.experiment.optimizer, work.experiment.training.steps)
    fresh = functools.partial(workload.new_state, work.experiment, work.task, optimizer)
    where = placed(jax.eval_shape(fresh), work.mesh)
    state = work.step(jax.jit(fresh, out_shardings=where)(), placement.placer(work.mesh)(columns))
    return jax.tree.map(np.asarray, (state.loss, state.grad_norm, state.opt_state))


def assert_alike(ours, plain):
    """Within the rounding of bfloat16."""
    for found, expected in zip(*map(jax.tree.leaves, (ours, plain)), strict=True):
        assert np.linalg.norm(found - expected) <= 0.02 * np.linalg.norm(expected)


def test_the_step_is_that_of_the_plain_path(monkeypatch):
    """In a scan whose layers are computed again; kernels are their definitions."""
    plain = after_a_step(data=2, fsdp=2)
    monkeypatch.setattr(devices, "CAPABILITIES", {None})
    monkeypatch.setattr(odds, "odds", defined)
    monkeypatch.setattr(norm_gradient, "_kernel", lambda *about: gradient_of_norm)
    assert_alike(after_a_step(data=2, fsdp=2), plain)


@pytest.mark.parametrize(("machine", "sizes"), [("h100:2", {"fsdp": 2}), ("h100:8", {"data": 2, "fsdp": 4})])
def test_it_lowers_for_gpus_that_are_not_there(machine, sizes, monkeypatch):
    """Three kernels of attention, and one each for the head and for the gradient of norms."""
    monkeypatch.setattr(devices, "obstacle", lambda constrain: None)
    text = program.lower(*planned(machine, **sizes)).as_text()
    assert text.count("mosaic_gpu_v2") == 5
    rows = ROWS // math.prod(sizes.values())
    assert f"tensor<{rows * T}x512xbf16>" in text, "odds of the tokens of one device"


@pytest.mark.gpu
def test_a_step_on_real_cards_is_that_of_the_plain_path(monkeypatch):
    """JAX_PLATFORMS=cuda python -m pytest -n0 -m gpu tests/training/test_kernels_on_mesh.py"""
    cards = jax.device_count()
    if jax.default_backend() != "gpu" or cards not in (2, 4, 8):
        pytest.skip(f"it takes 2, 4 or 8 NVIDIA GPUs, and this is {cards} x {jax.default_backend()}")
    assert devices.obstacle(constrain(make(MeshConfig(data=1, fsdp=cards)))) is None
    ours = after_a_step(fsdp=cards)
    monkeypatch.setattr(devices, "CAPABILITIES", set())
    assert_alike(ours, after_a_step(fsdp=cards))
