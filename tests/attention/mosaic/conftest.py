"""Mosaic's interpreter, for kernels on a machine without a GPU."""

import jax.numpy as jnp
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.mosaic import forward, schedule

copy = plgpu.copy_smem_to_gmem


@pytest.fixture
def interpreter(monkeypatch):
    """The interpreter with what it lacks: products of what lies in registers, and copies that add to what is there."""

    def wgmma(acc, left, right):
        acc[...] += jnp.dot(left[...], right[...], preferred_element_type=jnp.float32)

    def add_product(acc, left, right, meanwhile):
        meanwhile()
        return acc + jnp.dot(left, right[...], preferred_element_type=jnp.float32)

    def copy_or_add(source, target, *, reduction_op=None):
        if reduction_op == "add":
            target[...] += source[...]
        else:
            copy(source, target)

    monkeypatch.setattr(schedule, "processors", lambda: 1)
    monkeypatch.setattr(forward, "add_product", add_product)
    for name, instead in {
        "ACC": plgpu.REGS,  # memory, multiplied into at once
        "copy_smem_to_gmem": copy_or_add,
        "wgmma": wgmma,
        "wgmma_accumulator_load": lambda acc, wait_n=0: acc[...],
        "wgmma_wait": lambda wait_n: None,
    }.items():
        monkeypatch.setattr(plgpu, name, instead)
    return plgpu.InterpretGPUParams()
