"""Schedules hit their corners, AdamW agrees with arithmetic done by hand, and decay spares what it must."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.model import ModelConfig
from hybridlm.config.training import OptimizerConfig
from hybridlm.models.parameters import leaves
from hybridlm.training import optimizers


@pytest.mark.parametrize(
    ("schedule", "corners"),
    [
        ("cosine", {0: 0.0, 5: 0.5, 10: 1.0, 55: 0.55, 100: 0.1, 200: 0.1}),
        ("wsd", {0: 0.0, 5: 0.5, 10: 1.0, 80: 1.0, 90: 0.55, 100: 0.1, 200: 0.1}),
        ("constant", {0: 0.0, 5: 0.5, 10: 1.0, 100: 1.0, 200: 1.0}),
    ],
)
def test_schedules_pass_through_their_corners(schedule, corners):
    config = OptimizerConfig(learning_rate=3e-3, schedule=schedule, warmup=10, decay=0.2, final=0.1)
    rate = optimizers.learning_rate_at(config, 100)
    for step, share in corners.items():
        np.testing.assert_allclose(rate(step), share * 3e-3, rtol=1e-6, atol=1e-12, err_msg=f"step {step}")


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_without_warmup_the_first_step_has_the_peak(schedule):
    config = OptimizerConfig(learning_rate=1e-2, schedule=schedule, warmup=0)
    np.testing.assert_allclose(optimizers.learning_rate_at(config, 10)(0), 1e-2, rtol=1e-6)


def test_a_schedule_without_room_for_its_peak_is_refused():
    config = OptimizerConfig(schedule="wsd", warmup=50, decay=0.5)
    with pytest.raises(
        ConfigError, match=r"warmup=50 and a decay over 50 steps leave none of training.steps=100.*shorten"
    ):
        optimizers.make(config, 100)


def adamw_by_hand(config, rate, weights, gradients):
    """AdamW with decoupled decay and clipping by the global norm, in float64."""
    mean = {name: np.zeros_like(value) for name, value in weights.items()}
    square = {name: np.zeros_like(value) for name, value in weights.items()}
    for step, gradient in enumerate(gradients):
        norm = np.sqrt(sum(np.sum(value**2) for value in gradient.values()))
        gradient = {name: value * min(1, config.clip / norm) for name, value in gradient.items()}
        for name, value in gradient.items():
            mean[name] = config.b1 * mean[name] + (1 - config.b1) * value
            square[name] = config.b2 * square[name] + (1 - config.b2) * value**2
            m, v = mean[name] / (1 - config.b1 ** (step + 1)), square[name] / (1 - config.b2 ** (step + 1))
            decay = config.weight_decay * weights[name] if name == "out" else 0
            weights[name] = weights[name] - rate(step) * (m / (np.sqrt(v) + config.eps) + decay)
    return weights


@pytest.mark.parametrize(("first_moment", "within"), [("float32", 1e-6), ("bfloat16", 2e-3)])
def test_three_steps_agree_with_arithmetic_by_hand(first_moment, within):
    config = OptimizerConfig(learning_rate=0.1, warmup=1, weight_decay=0.3, clip=2.0, first_moment=first_moment)
    random = np.random.default_rng(0)
    shapes = {"out": (3, 4), "scale": (2, 4)}
    weights = {name: random.normal(size=shape) for name, shape in shapes.items()}
    # One gradient below the clipping norm, two above it.
    gradients = [{n: size * random.normal(size=s) for n, s in shapes.items()} for size in (0.1, 1.0, 5.0)]
    optimizer = optimizers.make(config, 10)
    params = jax.tree.map(jnp.float32, weights)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(jax.tree.map(jnp.float32, gradient), state, params)
        params = optax.apply_updates(params, updates)
    wanted = adamw_by_hand(config, optimizers.learning_rate_at(config, 10), dict(weights), gradients)
    for name in shapes:
        np.testing.assert_allclose(params[name], wanted[name], rtol=20 * within, atol=within)
    means, squares = (optax.tree.get(state, name) for name in ("mu", "nu"))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(means)} == {first_moment}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(squares)} == {"float32"}


def test_zero_clips_nothing():
    config = OptimizerConfig(name="adamw", clip=0.0, warmup=0, schedule="constant", eps=1.0, b1=0.0, b2=0.0)
    optimizer, params = optimizers.make(config, 10), {"bias": jnp.zeros(2)}
    update, _ = optimizer.update({"bias": jnp.array([3.0, 4.0])}, optimizer.init(params), params)
    np.testing.assert_allclose(update["bias"], -config.learning_rate * np.array([3 / 4, 4 / 5]), rtol=1e-6)


MODELS = [
    ModelConfig(),
    ModelConfig(
        norm="layer", attention_bias="all", ffn_bias=True, tied_head=False, head_bias=True, embedding_norm=True
    ),
    ModelConfig(qk_norm="full", time_conditioning=True, positions="learned", max_positions=8),
]


@pytest.mark.parametrize("model", MODELS, ids=["llama", "biases", "conditioned"])
def test_only_matrices_decay_and_stacked_norms_are_none(model):
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float32), leaves(model, 32))
    decayed = jax.tree_util.tree_leaves_with_path(optimizers.is_decayed(params))
    paths = {jax.tree_util.keystr(path, simple=True, separator="/"): decays for path, decays in decayed}
    matrices = {"attention/qkv", "attention/out", "ffn/up", "ffn/down", "head/kernel"}
    matrices |= {"time/first", "time/second", "attention_norm/time", "ffn_norm/time", "final_norm/time"}
    for path, decays in paths.items():
        assert decays == (path.removeprefix("layers/") in matrices), path
    assert sum(paths.values()) >= 4


@pytest.mark.parametrize("name", ["optax.contrib:muon", "optax:lion"])
def test_any_optax_optimizer_learns_by_import_path(name):
    optimizer = optimizers.make(OptimizerConfig(name=name, warmup=0, learning_rate=0.05, schedule="constant"), 50)
    params = {"out": jnp.ones((4, 4))}
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update(jax.grad(lambda p: jnp.sum(p["out"] ** 2))(params), state, params)
        params = optax.apply_updates(params, updates)
    assert jnp.sum(params["out"] ** 2) < 16


def test_options_reach_the_imported_optimizer():
    config = OptimizerConfig(name="optax:sgd", options={"momentum": 0.5}, warmup=0, schedule="constant")
    state = optimizers.make(config, 10).init({"out": jnp.ones(3)})
    assert any(leaf.shape == (3,) for leaf in jax.tree.leaves(state)), "momentum needs a trace of past gradients"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("optax:lionn", {}, "optimizer.name='optax:lionn': optax has no 'lionn'; did you mean 'lion'?"),
        (
            "optaxx:lion",
            {},
            "No module named 'optaxx'; write 'package.module:function', and install a missing package.",
        ),
        ("optax:lion", {"b3": 0.1}, r"does not accept (learning_rate, **{'b3': 0.1}): .*change --config.optimizer"),
        ("builtins:max", {}, "does not accept (learning_rate, **{}): "),
        ("builtins:bool", {}, "returned bool, not an optax.GradientTransformation; name a function such as"),
    ],
)
def test_a_wrong_import_path_is_explained(name, options, message):
    with pytest.raises(ConfigError) as refusal:
        optimizers.make(OptimizerConfig(name=name, options=options), 100)
    for part in message.split(".*"):
        assert part in str(refusal.value)
