"""A run that starts with another's parameters: what it takes over, what it draws, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import masked_lm
from hybridlm.config.training import TrainingConfig
from hybridlm.storage import workdir
from hybridlm.storage.checkpoints import Checkpoints
from hybridlm.training import inheritance
from hybridlm.training import session as sessions
from hybridlm.training import state as states
from tests.fixtures.small_run import devices

TOKENIZER = "ab12"
PARAMS = {"embedding": {"tokens": jnp.arange(6.0)}, "norm": {"scale": jnp.full(2, 7.0)}}


def by_path(params):
    leaves = jax.tree_util.tree_leaves_with_path({"params": params})
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def save(directory, params, tokenizer=TOKENIZER):
    """A run that has trained to step 40."""
    workdir.claim(epath.Path(directory), Experiment(name="first"))
    checkpoints = Checkpoints(directory / workdir.CHECKPOINTS)
    checkpoints.save(40, {"params": params, "step": 40}, {"fingerprints": {"tokenizer": tokenizer}})
    checkpoints.close()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    directory = tmp_path_factory.mktemp("first")
    save(directory, PARAMS)
    return directory


def second(source, **model):
    """A run of masked LM on what another has learned."""
    return Experiment(
        name="second",
        model=ModelConfig(**model),
        objectives={"masked": masked_lm(predicts="next")},
        training=TrainingConfig(start_from=str(source)),
    )


def inherit(source, params):
    fresh = states.start(params, optax.adam(1.0), 1, 1)
    return fresh, inheritance.inherit(second(source), fresh, TOKENIZER)


def test_parameters_are_taken_over_and_the_rest_is_new(first):
    fresh, state = inherit(first, jax.tree.map(jnp.zeros_like, PARAMS))
    jax.tree.map(np.testing.assert_array_equal, state.params, PARAMS)
    assert int(state.step) == 0
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, fresh.opt_state)


def test_a_leaf_that_the_other_run_had_not_is_drawn_fresh_and_named(first, capsys):
    params = PARAMS | {"head": {"bias": jnp.full(3, -1.0)}, "norm": {"scale": jnp.zeros(2), "shift": jnp.ones(2)}}
    _, state = inherit(first, params)
    assert state.params["head"]["bias"].tolist() == [-1, -1, -1]
    assert state.params["norm"]["shift"].tolist() == [1, 1]
    assert state.params["norm"]["scale"].tolist() == [7, 7]
    assert capsys.readouterr().err.endswith("drawn fresh: params/head/bias, params/norm/shift\n")


def test_a_run_that_names_no_other_starts_as_it_was(first):
    fresh = states.start(PARAMS, optax.sgd(1.0), 1, 1)
    assert inheritance.inherit(Experiment(name="alone"), fresh, TOKENIZER) is fresh
    inheritance.check(Experiment(name="alone"))


@pytest.mark.parametrize(
    ("params", "line"),
    [
        (PARAMS | {"norm": {"scale": jnp.zeros(3)}}, "  params/norm/scale: there float32[2], here float32[3]"),
        ({"embedding": PARAMS["embedding"]}, "  params/norm/scale: there float32[2], here nothing"),
    ],
)
def test_parameters_without_a_place_are_refused_by_name(first, params, line):
    with pytest.raises(ConfigError, match="holds parameters that this network has no place for; make the f") as error:
        inherit(first, params)
    assert str(error.value).splitlines()[1:] == [line]


def test_another_tokenizer_is_refused(tmp_path):
    save(tmp_path, PARAMS, tokenizer="cd34")
    with pytest.raises(ConfigError, match="was trained with another tokenizer, so its embedding belongs to other tok"):
        inherit(tmp_path, PARAMS)


def test_another_network_is_refused_before_anything_is_prepared(first):
    inheritance.check(second(first, head_bias=True, loop="scan"))
    with pytest.raises(ConfigError) as error:
        inheritance.check(second(first, heads=8, kv_heads=8))
    assert str(error.value).splitlines() == [
        f"training.start_from={str(first)!r} is the run of another network, in which the same numbers mean something "
        "else; give this one the same:",
        "  model.heads: there 4, here 8",
        "  model.kv_heads: there 4, here 8",
    ]


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no run: config.json is missing"):
        inheritance.check(second(tmp_path))


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    workdir.claim(epath.Path(tmp_path), Experiment(name="first"))
    with pytest.raises(ConfigError, match="has saved no checkpoint yet; let it train on"):
        inherit(tmp_path, PARAMS)


def test_a_run_goes_on_with_another_objective_and_what_that_needs(session, experiment, tmp_path):
    """Masked rows alone, by a network that is told the noise level, which it was not before."""
    learned = jax.tree.map(lambda leaf: leaf + 1, sessions.first_state(session).params)
    workdir.claim(epath.Path(tmp_path), experiment)
    checkpoints = Checkpoints(tmp_path / workdir.CHECKPOINTS)
    checkpoints.save(20, {"params": learned}, session.metadata)
    checkpoints.close()

    changed = dataclasses.replace(
        experiment,
        model=dataclasses.replace(experiment.model, time_conditioning=True),
        objectives={"masked": masked_lm(predicts="next")},
        training=dataclasses.replace(experiment.training, start_from=str(tmp_path)),
    )
    with devices(1):
        opened = sessions.open_session(changed, epath.Path(tmp_path / "second"))
    params = by_path(sessions.first_state(opened).params)
    opened.checkpoints.close()
    for path, leaf in by_path(learned).items():
        np.testing.assert_array_equal(params.pop(path), leaf)
    assert params and all("time" in path for path in params), "what is left is what the noise level needs"
