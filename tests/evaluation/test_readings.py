"""Readings of one network side by side: what must agree, what bounds what, and what is drawn alike for all models."""

import dataclasses

import jax
import numpy as np
import pytest

from hybridlm.config.combination import average
from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion
from hybridlm.config.storage import override
from hybridlm.evaluation import readings
from hybridlm.evaluation import run as evaluation
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import columns
from hybridlm.facts.kinds import ScoreKind

BLOCKS = block_diffusion(4)
READINGS = {
    "ar": Reading(objective=autoregressive()),
    "chain": Reading(objective=BLOCKS, estimator="chain", copies=2),
    "orders": Reading(objective=BLOCKS, estimator="order_mixture", copies=5),
    "bound": Reading(objective=BLOCKS, estimator="enumeration", copies=5),
    "sampled": Reading(objective=BLOCKS, samples=2),
}
ROWS = 3


@pytest.fixture(scope="module")
def sensitive(experiment):
    config = dataclasses.replace(
        experiment.evaluation,
        readings=READINGS,
        combinations={"both": average(experts=("ar", "chain"))},
        batch_rows=ROWS,
    )
    objectives = {"ar": autoregressive(), "blocks": BLOCKS}
    experiment = dataclasses.replace(experiment, objectives=objectives, evaluation=config)
    return override(experiment, {"model.init_std": 0.3})


@pytest.fixture(scope="module")
def network(task, sensitive):
    task = dataclasses.replace(task, model=sensitive.model)
    return task, [tasks.init(task, jax.random.key(seed)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def batch(session, sensitive):
    return next(evaluation.batches(session.held_out, sensitive.evaluation))


@pytest.fixture(scope="module")
def found(network, sensitive, batch):
    """The evaluation of two models on one batch."""
    task, params = network
    score = readings.scorer(task, sensitive.evaluation)
    return [evaluation.evaluate(task, sensitive.evaluation, score, one, [batch]) for one in params]


def values(found, name):
    return np.concatenate([tokens[name] for tokens in found.tokens])


def test_the_likelihood_of_all_orders_is_within_the_bound_to_which_samples_tend(found):
    orders, bound, sampled = (values(found[0], name) for name in ("orders", "bound", "sampled"))
    assert orders.sum() < bound.sum()
    error = values(found[0], "standard_error/sampled")
    spread = np.sqrt((error**2).sum())
    assert spread > 0 and abs(sampled.sum() - bound.sum()) < 4 * spread
    assert "standard_error/bound" not in found[0].tokens[0], "nothing in it is left to chance"


def test_a_combination_costs_what_the_mean_of_both_probabilities_does(found):
    mean = (np.exp(-values(found[0], "ar")) + np.exp(-values(found[0], "chain"))) / 2
    np.testing.assert_allclose(values(found[0], "both"), -np.log(mean), rtol=1e-4, atol=1e-5)
    assert (values(found[0], "entropy/both") > 0).all()


def test_tokens_of_every_column_sum_to_what_its_estimator_adds_up(found):
    for column, total in zip(found[0].columns, found[0].totals, strict=True):
        assert abs(total.residual) < 1e-5 * total.nats_NC[:, 0].sum(), column.part.name


def test_the_masks_of_a_sample_are_those_of_every_model(found):
    """With two samples of a block some tokens are never masked, and cost nothing: the same ones in both models."""
    first, second = (values(one, "sampled") for one in found)
    assert 0 < (first == 0).mean() < 0.5
    np.testing.assert_array_equal(first == 0, second == 0)
    assert not np.allclose(first, second)


def test_so_are_those_of_a_network_that_is_read_beside(network, sensitive, batch):
    task, (own, other) = network
    sampled = Reading(objective=BLOCKS, samples=2)
    both = {"sampled": sampled, "sampled_of_b": dataclasses.replace(sampled, network="runs/b")}
    config = dataclasses.replace(sensitive.evaluation, readings=both, combinations={})
    score = readings.scorer(task, config, others={"runs/b": readings.Other(task, None, other)})
    found = evaluation.evaluate(task, config, score, own, [batch])
    first, second = (values(found, name) for name in both)
    np.testing.assert_array_equal(first == 0, second == 0)
    assert not np.allclose(first, second)


def test_columns_say_what_their_values_are(sensitive):
    found = {column.part.name: column for column in columns(READINGS, True, sensitive.evaluation.combinations)}
    assert {name: (column.part.kind, column.samples, column.is_detailed) for name, column in found.items()} == {
        "ar": (ScoreKind.EXACT, 0, True),
        "chain": (ScoreKind.EXACT, 0, True),
        "orders": (ScoreKind.EXACT, 0, False),
        "bound": (ScoreKind.SHARE, 0, False),
        "sampled": (ScoreKind.SHARE, 2, False),
        "both": (ScoreKind.EXACT, 0, True),
        "unigram": (ScoreKind.EXACT, 0, False),
    }
    assert found["chain"].part.sees == "earlier blocks whole, and in its own block what stands to the left"
    assert found["orders"].part.sees.endswith("what every order reveals before it (a part of the block's value)")
    (left_out, _) = columns({"bert": Reading(objective=masked_diffusion(), estimator="leave_one_out")})
    assert left_out.part.kind == ScoreKind.PSEUDO
    assert left_out.part.sees == "in its document all other tokens, less the rest of its word"
