import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.facts.head import Head
from hybridlm.scoring.nll import token_nll, weighted_nll

B, T, D, V = 4, 7, 5, 13
HEADS = {
    "plain": {},
    "bias": {"bias": True},
    "never": {"never": True},
    "capped": {"softcap": 2.0},
    "all": {"bias": True, "never": True, "softcap": 1.5},
}


def _head(bias=False, never=False, softcap=None, width=D, vocabulary=V):
    random = np.random.default_rng(1)
    return Head(
        kernel_VD=jnp.asarray(random.normal(size=(vocabulary, width)), jnp.float32),
        bias_V=jnp.asarray(random.normal(size=vocabulary), jnp.float32) if bias else None,
        never_V=jnp.isin(jnp.arange(vocabulary), jnp.array([3, vocabulary - 1])) if never else None,
        softcap=softcap,
    )


def _tokens(rows=B, length=T, width=D, vocabulary=V, share=0.4):
    """Hidden states, targets that no head of these tests refuses, and weights of which `share` are not 0."""
    random = np.random.default_rng(2)
    hidden_BTD = random.normal(size=(rows, length, width)).astype(np.float32)
    targets_BT = random.choice(np.delete(np.arange(vocabulary), [3, vocabulary - 1]), size=(rows, length))
    weight_BT = random.uniform(0.1, 2, size=(rows, length)) * (random.uniform(size=(rows, length)) < share)
    return jnp.asarray(hidden_BTD), jnp.asarray(targets_BT, jnp.int32), jnp.asarray(weight_BT, jnp.float32)


def _oracle(hidden_BTD, head, targets_BT, weight_BT):
    """NLL, and the gradients of Σ weight·nll at hidden, kernel and bias, written out in float64."""
    hidden_ND, kernel_VD = (
        np.asarray(x, np.float64) for x in (hidden_BTD.reshape(-1, hidden_BTD.shape[-1]), head.kernel_VD)
    )
    targets_N, weight_N = np.asarray(targets_BT).ravel(), np.asarray(weight_BT, np.float64).ravel()
    logits_NV, slope_NV = hidden_ND @ kernel_VD.T, 1.0
    if head.softcap is not None:
        tanh_NV = np.tanh(logits_NV / head.softcap)
        logits_NV, slope_NV = head.softcap * tanh_NV, 1 - tanh_NV**2
    if head.bias_V is not None:
        logits_NV = logits_NV + np.asarray(head.bias_V, np.float64)
    if head.never_V is not None:
        logits_NV = np.where(head.never_V, -np.inf, logits_NV)
    log_p_NV = logits_NV - np.logaddexp.reduce(logits_NV, axis=1, keepdims=True)
    nll_N = -log_p_NV[np.arange(targets_N.size), targets_N]
    dlogits_NV = weight_N[:, None] * (np.exp(log_p_NV) - np.eye(kernel_VD.shape[0])[targets_N])
    dproduct_NV = dlogits_NV * slope_NV
    return {
        "nll": nll_N.reshape(targets_BT.shape),
        "hidden": (dproduct_NV @ kernel_VD).reshape(hidden_BTD.shape),
        "kernel": dproduct_NV.T @ hidden_ND,
        "bias": dlogits_NV.sum(0),
    }


@functools.partial(jax.jit, static_argnames=("groups", "chunk", "dense"))
def _value_and_grad(hidden_BTD, head, targets_BT, weight_BT, **options):
    def loss(hidden_BTD, trained):
        kernel_VD, bias_V = trained
        changed = Head(kernel_VD, bias_V, head.never_V, head.softcap)
        return weighted_nll(hidden_BTD, changed, targets_BT, weight_BT, **options)

    return jax.value_and_grad(loss, (0, 1), has_aux=True)(hidden_BTD, (head.kernel_VD, head.bias_V))


def _check(head, tokens, atol=1e-5, **options):
    hidden_BTD, targets_BT, weight_BT = tokens
    expected = _oracle(hidden_BTD, head, targets_BT, weight_BT)
    (total, nll_BT), (dhidden_BTD, (dkernel_VD, dbias_V)) = _value_and_grad(
        hidden_BTD, head, targets_BT, weight_BT, **options
    )
    scored_BT = np.where(weight_BT != 0, expected["nll"], 0)
    np.testing.assert_allclose(nll_BT, scored_BT, atol=atol)
    np.testing.assert_allclose(total, (scored_BT * np.asarray(weight_BT, np.float64)).sum(), rtol=atol, atol=atol)
    np.testing.assert_allclose(dhidden_BTD, expected["hidden"], atol=atol)
    np.testing.assert_allclose(dkernel_VD, expected["kernel"], atol=atol)
    if head.bias_V is not None:
        np.testing.assert_allclose(dbias_V, expected["bias"], atol=atol)


@pytest.mark.parametrize("name", HEADS)
def test_values_and_gradients_match_float64(name):
    _check(_head(**HEADS[name]), _tokens(), groups=2, chunk=4, dense=True)


@pytest.mark.parametrize(("groups", "chunk"), [(1, 1), (1, 28), (1, 1000), (2, 4)])
def test_neither_gathering_nor_the_size_of_chunks_changes_anything(groups, chunk):
    _check(_head(**HEADS["all"]), _tokens(), groups=groups, chunk=chunk, dense=False)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("dense", [True, False])
def test_no_weight_at_all_and_weight_everywhere(share, dense):
    _check(_head(**HEADS["all"]), _tokens(share=share), groups=2, chunk=4, dense=dense)


def test_shards_may_hold_very_different_numbers_of_targets():
    hidden_BTD, targets_BT, weight_BT = _tokens(share=1.0)
    _check(_head(), (hidden_BTD, targets_BT, weight_BT.at[:3].set(0).at[0, 0].set(1)), groups=4, chunk=2, dense=False)


def test_the_gradient_scales_with_the_cotangent_and_nll_is_a_constant():
    hidden_BTD, targets_BT, weight_BT = _tokens()

    def loss(hidden_BTD, scale):
        total, nll_BT = weighted_nll(hidden_BTD, _head(), targets_BT, weight_BT, chunk=4, dense=True)
        return scale * total + 100 * nll_BT.sum()

    once, thrice = (jax.grad(loss)(hidden_BTD, scale) for scale in (1.0, 3.0))
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-6)
    np.testing.assert_allclose(once, _oracle(hidden_BTD, _head(), targets_BT, weight_BT)["hidden"], atol=1e-5)


def test_bfloat16_hidden_states_cost_bfloat16_precision_and_no_more():
    hidden_BTD, targets_BT, weight_BT = _tokens(rows=2, length=64, width=64, vocabulary=301)
    hidden_BTD, head = (hidden_BTD / 8).astype(jnp.bfloat16), _head(bias=True, width=64, vocabulary=301)
    (_, nll_BT), (dhidden_BTD, (dkernel_VD, _)) = _value_and_grad(
        hidden_BTD, head, targets_BT, weight_BT, groups=1, chunk=50, dense=True
    )
    rounded = Head(head.kernel_VD.astype(jnp.bfloat16).astype(jnp.float32), head.bias_V)
    expected = _oracle(hidden_BTD.astype(jnp.float32), rounded, targets_BT, weight_BT)
    assert dhidden_BTD.dtype == jnp.bfloat16
    assert dkernel_VD.dtype == jnp.float32
    np.testing.assert_allclose(nll_BT, np.where(weight_BT != 0, expected["nll"], 0), atol=1e-5)
    for name, actual in {"hidden": dhidden_BTD.astype(jnp.float32), "kernel": dkernel_VD}.items():
        assert np.abs(actual - expected[name]).max() < 0.01 * np.abs(expected[name]).max()


def test_evaluation_agrees_with_training_and_skips_what_is_not_needed():
    hidden_BTD, targets_BT, weight_BT = _tokens()
    head = _head(**HEADS["all"])
    expected_BT = _oracle(hidden_BTD, head, targets_BT, weight_BT)["nll"]
    np.testing.assert_allclose(token_nll(hidden_BTD, head, targets_BT, chunk=3), expected_BT, atol=1e-5)
    some_BT = token_nll(hidden_BTD, head, targets_BT, weight_BT != 0, groups=2, chunk=3)
    np.testing.assert_allclose(some_BT, np.where(weight_BT != 0, expected_BT, 0), atol=1e-5)


def test_targets_alone_are_computed():
    """Hidden states that would give NaN are never looked at where whole chunks of them have no weight."""
    hidden_BTD, targets_BT, _ = _tokens()
    weight_BT = jnp.zeros((B, T)).at[1, 2:4].set(1.0)
    hidden_BTD = jnp.where(weight_BT[..., None] != 0, hidden_BTD, jnp.nan)
    (total, _), (dhidden_BTD, (dkernel_VD, _)) = _value_and_grad(
        hidden_BTD, _head(), targets_BT, weight_BT, groups=1, chunk=2, dense=False
    )
    assert np.isfinite(total)
    assert np.isfinite(dhidden_BTD).all()
    assert np.isfinite(dkernel_VD).all()


@pytest.mark.parametrize("dense", [True, False])
def test_memory_stays_far_below_tokens_times_vocabulary(dense):
    tokens, width, vocabulary, chunk = 8192, 32, 4001, 256

    def loss(hidden_BTD, kernel_VD, targets_BT, weight_BT):
        return weighted_nll(hidden_BTD, Head(kernel_VD), targets_BT, weight_BT, chunk=chunk, dense=dense)

    per_token = jax.ShapeDtypeStruct((8, tokens // 8), jnp.float32)
    lowered = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True)).lower(
        jax.ShapeDtypeStruct((*per_token.shape, width), jnp.float32),
        jax.ShapeDtypeStruct((vocabulary, width), jnp.float32),
        jax.ShapeDtypeStruct(per_token.shape, jnp.int32),
        per_token,
    )
    temporary = lowered.compile().memory_analysis().temp_size_in_bytes
    assert temporary < 4 * (3 * chunk * vocabulary + 3 * vocabulary * width + 4 * tokens * width)
    assert temporary < 4 * tokens * vocabulary / 8


def _on_mesh(data, tensor, dense):
    """A compiled step on data x tensor devices, and its arguments."""
    mesh = jax.make_mesh((data, tensor), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    axes = {"batch": "data", "vocab": "tensor", None: None}

    def constrain(x, names):
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P(*(axes[name] for name in names))))

    def loss(hidden_BTD, kernel_VD, targets_BT, weight_BT):
        options = {"groups": data, "chunk": 5, "dense": dense, "constrain": constrain}
        return weighted_nll(hidden_BTD, Head(kernel_VD), targets_BT, weight_BT, **options)

    by_rows, by_vocabulary = NamedSharding(mesh, P("data")), NamedSharding(mesh, P("tensor"))
    step = jax.jit(
        jax.value_and_grad(loss, (0, 1), has_aux=True), in_shardings=(by_rows, by_vocabulary, by_rows, by_rows)
    )
    hidden_BTD, targets_BT, weight_BT = _tokens(rows=16, length=9, vocabulary=16)
    arguments = (hidden_BTD, _head(vocabulary=16).kernel_VD, targets_BT, weight_BT)
    return step.lower(*arguments).compile(), arguments


@pytest.mark.parametrize(("data", "tensor", "dense"), [(4, 2, True), (8, 1, False)])
def test_eight_devices_give_what_the_oracle_gives(data, tensor, dense):
    step, arguments = _on_mesh(data, tensor, dense)
    hidden_BTD, kernel_VD, targets_BT, weight_BT = arguments
    expected = _oracle(hidden_BTD, Head(kernel_VD), targets_BT, weight_BT)
    (_, nll_BT), (dhidden_BTD, dkernel_VD) = step(*jax.device_put(arguments, step.input_shardings[0]))
    np.testing.assert_allclose(nll_BT, np.where(weight_BT != 0, expected["nll"], 0), atol=1e-5)
    np.testing.assert_allclose(dhidden_BTD, expected["hidden"], atol=1e-5)
    np.testing.assert_allclose(dkernel_VD, expected["kernel"], atol=1e-5)


@pytest.mark.parametrize("dense", [True, False])
def test_devices_meet_after_the_sweep_and_not_in_every_chunk(dense):
    program = _on_mesh(8, 1, dense)[0].as_text()
    collective = re.compile(r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\(")
    outside_loops = program[program.index("\nENTRY") :]
    assert set(collective.findall(program)) == {"all-reduce"}
    assert collective.findall(program) == collective.findall(outside_loops)


def test_rows_that_do_not_divide_into_groups_are_refused():
    hidden_BTD, targets_BT, weight_BT = _tokens()
    with pytest.raises(ValueError, match="4 rows do not divide into groups=3 equal shards") as error:
        weighted_nll(hidden_BTD, _head(), targets_BT, weight_BT, groups=3, chunk=4, dense=True)
    assert "choose the number of devices that the rows are spread over, or 1" in str(error.value)
