"""The kernel in Mosaic's interpreter against the definition, and the gradient made from it against plain autodiff."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu
from jax.sharding import AbstractMesh, AxisType

from hybridlm.facts.head import NEVER, Head, logits
from hybridlm.scoring import nll, odds
from hybridlm.scoring.nll import weighted_nll

N, D, V = 2 * odds.TOKENS, odds.DEPTH, 3 * odds.IDS


def arrays(never=()):
    """Hidden states, a head whose bias never lets some ids be predicted, targets, and their logits."""
    random = np.random.default_rng(0)
    hidden_ND = jnp.asarray(random.normal(size=(N, D)), jnp.bfloat16)
    kernel_VD = jnp.asarray(random.normal(size=(V, D)) / 4, jnp.bfloat16)
    bias_V = jnp.asarray(random.normal(size=V), jnp.float32).at[jnp.array(never, int)].set(NEVER)
    targets_N = jnp.asarray(random.choice(np.setdiff1d(np.arange(V), never), N), jnp.int32)
    logits_NV = logits(Head(kernel_VD, bias_V), hidden_ND)
    return (hidden_ND, kernel_VD, bias_V, targets_N, logits_NV[jnp.arange(N), targets_N]), logits_NV


interpreted = functools.partial(odds.odds, interpret=plgpu.InterpretGPUParams())


def test_odds_are_ratios_of_probabilities_and_none_at_the_target():
    given, logits_NV = arrays(never=(5, V - 1))
    targets_N = given[3]
    p_NV = jax.nn.softmax(logits_NV)
    own_N = p_NV[jnp.arange(N), targets_N]
    expected_NV = (p_NV / own_N[:, None]).at[jnp.arange(N), targets_N].set(0)
    odds_NV, others_N = interpreted(*given)
    np.testing.assert_allclose(odds_NV.astype(jnp.float32), expected_NV, rtol=2**-8)
    np.testing.assert_allclose(others_N, (1 - own_N) / own_N, rtol=1e-5)
    assert not odds_NV[:, jnp.array([5, V - 1])].any()


def test_what_no_float_holds_is_cut_off_and_what_is_no_number_shows():
    hidden_ND, kernel_VD, bias_V, targets_N, logit_N = arrays()[0]
    _, others_N = interpreted(hidden_ND, kernel_VD, bias_V, targets_N, logit_N.at[:2].set(jnp.array([-1e3, jnp.nan])))
    np.testing.assert_allclose(others_N[0], (V - 1) * np.exp(odds.WORST), rtol=1e-3)
    assert np.isnan(others_N[1])
    assert np.isfinite(others_N[2:]).all()


@pytest.mark.parametrize("dense", [True, False])
def test_the_loss_and_its_gradients_are_those_of_autodiff(dense, monkeypatch):
    (hidden_ND, kernel_VD, bias_V, targets_N, _), _ = arrays()
    weight_N = jnp.asarray(np.random.default_rng(1).uniform(size=N) * (np.arange(N) % 3 > 0), jnp.float32)
    never_V = jnp.arange(V) == 7
    targets_N = jnp.where(targets_N == 7, 8, targets_N)
    monkeypatch.setattr(odds, "obstacle", lambda *about: None)
    monkeypatch.setattr(odds, "odds", interpreted)

    def ours(hidden_ND, kernel_VD, bias_V):
        head = Head(kernel_VD, bias_V, never_V)
        total, nll_1N = weighted_nll(hidden_ND[None], head, targets_N[None], weight_N[None], chunk=N, dense=dense)
        return total, nll_1N[0]

    def plain(hidden_ND, kernel_VD, bias_V):
        log_p_NV = jax.nn.log_softmax(logits(Head(kernel_VD, bias_V, never_V), hidden_ND))
        nll_N = -log_p_NV[jnp.arange(N), targets_N]
        return jnp.sum(weight_N * nll_N), jnp.where(weight_N != 0, nll_N, 0)

    both = [jax.value_and_grad(f, (0, 1, 2), has_aux=True) for f in (ours, plain)]
    ((total, nll_N), found), ((_, expected_N), expected) = (
        f(hidden_ND, kernel_VD.astype(jnp.float32), bias_V) for f in both
    )
    np.testing.assert_allclose(nll_N, expected_N, atol=1e-4)
    np.testing.assert_allclose(total, jnp.sum(weight_N * expected_N), rtol=1e-5)
    for ours_, plain_ in zip(found, expected, strict=True):
        error = jnp.linalg.norm((ours_ - plain_).astype(jnp.float32)) / jnp.linalg.norm(plain_.astype(jnp.float32))
        assert error < 5e-3


def test_it_lowers_for_a_gpu_that_is_not_there():
    shapes = jax.eval_shape(lambda: arrays()[0])
    text = odds.odds.trace(*shapes).lower(lowering_platforms=("cuda",)).as_text()
    assert "mosaic_gpu" in text


class Hopper:
    compute_capability = "9.0"


@pytest.mark.parametrize(
    ("tokens", "ids", "width", "softcap", "dtype", "said"),
    [
        (N, V, D, None, jnp.bfloat16, "a kernel that writes no logits"),
        (N + 1, V, D, None, jnp.bfloat16, f"{N + 1} tokens are no multiple of {odds.TOKENS}"),
        (N, V + 1, D, None, jnp.bfloat16, f"{V + 1} ids are no multiple of 128"),
        (N, V, D + 8, None, jnp.bfloat16, "width 72 is no multiple of 64"),
        (N, V, D, 30.0, jnp.bfloat16, "(soft cap)"),
        (N, V, D, None, jnp.float32, "(float32, not bfloat16)"),
    ],
)
def test_what_it_suits_and_what_is_said_of_the_rest(tokens, ids, width, softcap, dtype, said, monkeypatch):
    explain = functools.partial(nll.explain, ids, width, softcap, dtype, tokens, chunk=8192, dense=True)
    assert "not a Hopper GPU" in explain()
    monkeypatch.setattr(jax, "devices", lambda: [Hopper()])
    assert said in explain()
    assert "4 shards on 1 devices" in explain(groups=4)
    with jax.sharding.use_abstract_mesh(AbstractMesh((8,), ("data",), axis_types=(AxisType.Auto,))):
        assert "(planned for another machine)" in explain()
    monkeypatch.setattr(jax, "devices", lambda: [Hopper()] * 2)
    assert f"logits of {tokens:,} tokens at once (2 devices)" in explain()


@pytest.mark.gpu
def test_a_real_card_agrees_with_the_definition_twice_alike():
    """JAX_PLATFORMS=cuda python -m pytest -n0 -m gpu tests/scoring/test_odds.py"""
    if jax.default_backend() != "gpu":
        pytest.skip(f"the kernel needs an NVIDIA GPU, and this is {jax.default_backend()}")
    random, size = np.random.default_rng(0), (4 * N, 768, 129 * odds.IDS)
    hidden_ND = jnp.asarray(random.normal(size=(size[0], size[1])), jnp.bfloat16)
    kernel_VD = jnp.asarray(random.normal(size=(size[2], size[1])) / 16, jnp.bfloat16)
    bias_V, targets_N = jnp.asarray(random.normal(size=size[2]), jnp.float32), jnp.arange(size[0])
    logits_NV = logits(Head(kernel_VD, bias_V), hidden_ND)
    logit_N = logits_NV[jnp.arange(size[0]), targets_N]
    expected_NV = jnp.exp(logits_NV - logit_N[:, None]).at[jnp.arange(size[0]), targets_N].set(0)
    given = (hidden_ND, kernel_VD, bias_V, targets_N, logit_N)
    jax.block_until_ready([jnp.full(2**26, jnp.nan) for _ in range(4)])
    (odds_NV, others_N), again = odds.odds(*given), odds.odds(*given)
    np.testing.assert_allclose(odds_NV.astype(jnp.float32), expected_NV, rtol=0.01)
    np.testing.assert_allclose(others_N, expected_NV.sum(1), rtol=1e-4)
    assert all(jnp.array_equal(one, other) for one, other in zip((odds_NV, others_N), again, strict=True))
