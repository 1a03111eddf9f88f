"""On several devices each runs the kernel for its own rows; the gradient of the scale is summed over all."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.facts import devices
from hybridlm.models import norm_gradient
from hybridlm.models.norms import rms
from hybridlm.sharding import mesh, rules

B, T, D = 4, norm_gradient.ROWS, 2 * norm_gradient.THREADS


def arrays():
    """A stream, a scale, and the gradients of the stream and of the stream normed."""
    random = np.random.default_rng(0)
    h_BTD, dh_BTD, dnormed_BTD = (jnp.asarray(random.normal(size=(B, T, D)), jnp.bfloat16) for _ in range(3))
    return h_BTD, jnp.float32(random.normal(size=D)), (dh_BTD, dnormed_BTD)


def lying(**sizes):
    """The `constrain` of a mesh of the first devices."""
    return rules.constrain(mesh.make(MeshConfig(**{"data": 1} | sizes), jax.devices()[: math.prod(sizes.values())]))


@pytest.mark.parametrize("sizes", [{"data": 2}, {"fsdp": 2}, {"data": 2, "fsdp": 2}], ids=str)
def test_the_gradient_is_that_of_autodiff_on_every_mesh_that_cuts_rows_alone(sizes):
    constrain, (h_BTD, scale_D, gradients) = lying(**sizes), arrays()
    options = {"eps": 1e-5, "constrain": constrain, "interpret": plgpu.InterpretGPUParams()}
    pulled = jax.jit(lambda given, *x: jax.vjp(functools.partial(norm_gradient.beside, **options), *x)[1](given))
    by_rows = rules.batch_sharding(constrain.mesh)
    dh_BTD, dscale_D = pulled(*jax.device_put((gradients, h_BTD), by_rows), scale_D)
    wide = [x.astype(jnp.float32) for x in (h_BTD, *gradients)]
    expected = jax.vjp(lambda h, scale: (h, rms(h, scale, 1e-5, (-1,))), wide[0], scale_D)[1](tuple(wide[1:]))
    assert dh_BTD.sharding.is_equivalent_to(by_rows, 3)
    np.testing.assert_allclose(dh_BTD.astype(jnp.float32), expected[0], rtol=2**-7, atol=2**-7)
    np.testing.assert_allclose(dscale_D, expected[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "rows", "suits"),
    [
        ({"data": 2, "fsdp": 2}, slice(4), True),
        ({"data": 2, "fsdp": 2}, slice(3), False),
        ({"data": 2, "tensor": 2}, slice(4), False),
        ({"data": 2, "sequence": 2}, slice(4), False),
    ],
)
def test_which_meshes_it_suits(sizes, rows, suits, monkeypatch):
    h_BTD, scale_D, _ = arrays()
    asked = functools.partial(norm_gradient.suits, ModelConfig(), {"scale": scale_D}, h_BTD[rows], lying(**sizes))
    assert not asked()  # CPUs
    monkeypatch.setattr(devices, "CAPABILITIES", {None})
    assert asked() is suits
