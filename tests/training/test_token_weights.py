"""Factors on the loss of single tokens: what they are, that they leave the total alone, and that no score sees them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.categories.tables import build, flat_labels
from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.config.storage import from_dict, override, to_dict
from hybridlm.config.token_weights import TokenWeight
from hybridlm.config.training import TrainingConfig
from hybridlm.evaluation import task as tasks
from hybridlm.training import filtered, optimizers, token_weights
from hybridlm.training import state as states
from hybridlm.training import step as steps

TOKENS = [b"", b" the", b"7", b" (", b")", b"42"]
TABLES = build(TOKENS, np.arange(6), {"pad": 0, "bos": 0, "eos": 0, "mask": 0}, columns=())
TARGETS_BT = jnp.array([[1, 2, 3, 4, 5, 2]])
SHARE_V = np.array([1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])


def factors(weight, progress):
    """The factors of " the", 7, (, ), 42 and 7 again."""
    experiment = Experiment(name="run", training=TrainingConfig(token_weights=(weight,)))
    weights = [(weight, *filtered.of_weights(experiment, TABLES.families))]
    flat_MBT = flat_labels(TABLES, TARGETS_BT, {})
    rarity_BT = -jnp.log(jnp.asarray(SHARE_V, jnp.float32))[TARGETS_BT]
    found_BT = token_weights.factors(weights, TABLES, flat_MBT, rarity_BT, jnp.float32(progress))
    return np.round(np.asarray(found_BT, np.float64)[0], 4).tolist()


def test_the_tokens_of_a_filter_are_multiplied_and_no_others():
    brackets = TokenWeight(tokens="bracket=open | bracket=close | digits=one", factor=3.0)
    assert factors(brackets, 0.0) == factors(brackets, 1.0) == [1, 3, 3, 3, 1, 3]


def test_a_power_of_inverse_frequency():
    assert factors(TokenWeight(power=0.5), 0.3) == [1.4142, 2, 2.8284, 4, 4, 2]


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 1), (0.25, 1), (0.5, 2), (0.75, 4), (1.0, 4)], ids=lambda value: str(value)
)
def test_a_curriculum_moves_from_even_weights_to_these_between_two_points_of_the_run(progress, factor):
    weight = TokenWeight(tokens="digits=one", factor=4.0, strength=(0.0, 1.0), between=(0.25, 0.75))
    assert factors(weight, progress) == [1, factor, 1, 1, 1, factor]
    back = dataclasses.replace(weight, strength=(1.0, -1.0))
    assert factors(back, 0.0)[1] == 4
    assert factors(back, 1.0)[1] == 0.25


def test_the_mean_factor_of_the_targets_of_each_part_becomes_one():
    """The first row is of part 0; the second holds four targets of part 1 and, apart, two of part 0."""
    factor_BT = jnp.array([[1.0, 3, 9, 1], [2, 2, 5, 9]])
    is_target_BT = jnp.array([[True, True, False, False], [True, True, True, False]])
    part_BX = jnp.array([[0, 0], [1, 0]])
    found_BT = token_weights.normalised(factor_BT, is_target_BT, part_BX, 3)
    np.testing.assert_allclose(found_BT, [[1 / 3, 1, 3, 1 / 3], [1, 1, 5 / 3, 3]], rtol=1e-6)


@pytest.fixture(scope="module")
def take(experiment, session):
    """One step from the same start on the same text, of two objectives with some token weights."""
    objectives = {"ar": autoregressive(), "block": block_diffusion(8)}
    small = override(
        dataclasses.replace(experiment, objectives=objectives), {"model.layers": 1, "model.loop": "unroll"}
    )
    task = dataclasses.replace(session.task, model=small.model)
    optimizer = optimizers.make(small.optimizer, small.training.steps)
    batch = session.place(session.stream.batch(0))

    def take(*weights):
        given = dataclasses.replace(small, training=dataclasses.replace(small.training, token_weights=weights))
        state = states.start(tasks.init(task, jax.random.key(0)), optimizer, 2, steps.label_count(small, task))
        return jax.jit(steps.make(given, task, optimizer))(state, batch, task.tables)

    return take


def test_weights_change_the_gradient_and_not_one_bit_of_a_score(take):
    plain, even = take(), take(TokenWeight(tokens="all", factor=8.0))
    heavy = take(TokenWeight(tokens="digits!=none", factor=5.0), TokenWeight(power=0.3, strength=(1.0, 0.0)))

    jax.tree.map(np.testing.assert_array_equal, heavy.sums, plain.sums)
    assert abs(float(heavy.loss) / float(plain.loss) - 1) > 0.001
    assert abs(float(heavy.grad_norm) / float(plain.grad_norm) - 1) > 0.001

    # normalised, a factor on every token is none
    np.testing.assert_allclose(even.loss, plain.loss, rtol=1e-6)
    np.testing.assert_allclose(even.grad_norm, plain.grad_norm, rtol=1e-5)


def test_weights_are_stored_and_read_back():
    given = Experiment(name="run", training=TrainingConfig(token_weights=(TokenWeight(tokens="content", factor=2.0),)))
    assert from_dict(Experiment, to_dict(given)) == given


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor": 0.0}, "has factor=0.0; it must be positive, because a loss of weight 0 is not computed"),
        ({"factor": 2.0, "between": (0.6, 0.2)}, "changes between=(0.6, 0.2), which must be two rising shares"),
        ({"factor": 2.0, "strength": (1.0,)}, "each is a pair, first and last"),
        ({}, "changes nothing: factor=1.0, power=0.0, strength=(1.0, 1.0)"),
        ({"factor": 2.0, "strength": (0.0, 0.0)}, "changes nothing"),
    ],
)
def test_a_weight_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        TokenWeight(tokens="content", **changes)
    assert str(error.value).startswith("training.token_weights: the weight of 'content' ")
    assert message in str(error.value)


def test_labels_that_training_rows_lack_are_named_with_the_fix():
    weights = (TokenWeight(tokens="copy>=5", factor=2.0),)
    given = override(Experiment(name="run", training=TrainingConfig(token_weights=weights)), {"data.labels": []})
    with pytest.raises(ConfigError) as error:
        filtered.check(given)
    assert str(error.value) == (
        "training.token_weights: tokens='copy>=5' reads copy, which training rows are not labelled by: they have the "
        "labels that data.labels names, held-out rows all of them. Prepare the text with --config.data.labels=copy."
    )


def test_a_frequency_must_have_been_counted(experiment, task):
    uncounted = dataclasses.replace(task, has_counts=False)
    weighted = dataclasses.replace(
        experiment, training=dataclasses.replace(experiment.training, token_weights=(TokenWeight(power=0.5),))
    )
    with pytest.raises(ConfigError, match="these data were prepared without counts of tokens; name tokens by their"):
        token_weights.resolve(weighted, uncounted)
