"""Two readings as one, held against log-softmax of each: of one network, of two, and what may not be combined."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config import combination as config
from hybridlm.config.combination import Calibration, Combination
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, masked_lm, prefix_lm
from hybridlm.evaluation import combined_fit, predictions
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.combined import Expert, check, frequencies, part, scorer, share_lines, share_sums
from hybridlm.evaluation.predictions import Network
from hybridlm.facts.head import logits
from hybridlm.facts.kinds import ScoreKind
from hybridlm.objectives.text import from_batch
from hybridlm.scoring.chunks import anywhere
from tests.end_to_end import tiny

TOKENS = [b"", b"", b"", b"", *(bytes([97 + n]) for n in range(26))]
SPECIAL = {"pad": 0, "bos": 1, "eos": 2, "mask": 3}
COUNTS = np.concatenate([[0, 0, 9, 0], 2 ** np.arange(26)[::-1] // 2**10])
READINGS = {
    "ar": Reading(objective=autoregressive()),
    "block_chain": Reading(objective=block_diffusion(4), estimator="chain"),
    "prefix": Reading(objective=prefix_lm(0.5, 0.5)),
    "surest first": Reading(objective=block_diffusion(4), estimator="chain", order="confidence"),
    "infill": Reading(objective=masked_lm()),
    "bound": Reading(objective=masked_diffusion()),
    "left out": Reading(objective=masked_diffusion(), estimator="leave_one_out"),
}
AVERAGE = config.average(0.25)
BY_FREQUENCY = config.frequency_gate(-3.0, rule="log_linear", calibration=Calibration(adjustment=0.5))
T = 12


@pytest.fixture(scope="module")
def task():
    experiment = tiny.get_config()
    model = dataclasses.replace(experiment.model, init_std=0.3, layers=1)
    return tasks.make(dataclasses.replace(experiment, model=model), TOKENS, COUNTS, SPECIAL, columns=())


@pytest.fixture(scope="module")
def params(task):
    """Of two networks."""
    return [tasks.init(task, jax.random.key(seed)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def batch():
    """A row of two documents and padding, and a row of one."""
    tokens = np.random.default_rng(0).integers(4, 30, (2, T)).astype(np.int32)
    positions = np.array([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 0], range(T)], np.int32)
    segments = np.array([[1] * 5 + [2] * 5 + [0] * 2, [1] * T], np.int32)
    tokens = np.where(positions == 0, np.where(segments > 0, 1, 0), tokens).astype(np.int32)
    return {
        name: jnp.asarray(x) for name, x in (("tokens", tokens), ("segment_ids", segments), ("positions", positions))
    }


def experts(task, names=("ar", "block_chain")):
    return {name: Expert(task, READINGS[name]) for name in names}


def of(params, names=("ar", "block_chain")):
    return dict(zip(names, params))


def log_p(task, params, name, batch):
    """Of one expert, whole."""

    @jax.jit
    def read(params, batch):
        network, key = Network(task, params, None, 1, anywhere), jax.random.key(0)
        found = predictions.of_reading(network, name, READINGS[name], from_batch(batch), task.tables, key)
        return jax.nn.log_softmax(logits(network.head, found.hidden_RSD))

    return np.asarray(read(params, batch), np.float64)


def at(logp, batch):
    return np.take_along_axis(logp, np.asarray(batch["tokens"])[..., None], -1)[..., 0]


@pytest.fixture(scope="module")
def score(task):
    """The scorer of a combination, compiled once."""
    return functools.cache(lambda combination: scorer(combination, experts(task)))


@pytest.fixture(scope="module")
def whole(task, params, batch):
    """Log-probabilities of the first network read from left to right, and of the second as a chain of blocks."""
    return [log_p(task, p, name, batch) for p, name in zip(params, ("ar", "block_chain"))]


def test_the_average_of_two_networks_is_that_of_their_probabilities(score, params, batch, whole):
    found = score(AVERAGE)(of(params), batch, 0)
    is_target = (batch["segment_ids"] > 0) & (batch["positions"] > 0)
    np.testing.assert_array_equal(found.is_counted_RS, is_target)
    first, second = (at(logp, batch) for logp in whole)
    nll = -np.logaddexp(np.log(0.25) + first, np.log(0.75) + second)
    np.testing.assert_allclose(found.scores.nll, np.where(is_target, nll, 0), rtol=1e-4, atol=1e-5)
    floor = np.where(is_target, -np.maximum(first, second), 0)
    np.testing.assert_allclose(found.oracle.floor_N, floor, rtol=1e-4, atol=1e-5)
    assert found.oracle.floor(found.is_counted_RS) < found.scores.nll.sum() / is_target.sum()


def test_two_readings_of_one_network_are_given_its_parameters_twice(task, score, params, batch, whole):
    found = score(AVERAGE)(of([params[0]] * 2), batch, 0)
    alone = -np.stack([at(whole[0], batch), at(log_p(task, params[0], "block_chain", batch), batch)], axis=-1)
    alone = np.where(np.asarray(found.is_counted_RS)[..., None], alone, 0)
    np.testing.assert_allclose(found.scores.expert_nll, alone, rtol=1e-4, atol=1e-5)


def test_a_token_changes_nothing_of_its_own_prediction(score, params, batch):
    """Token 6 of the second row becomes another: up to there all but its NLL stays, and behind it all may change."""
    other = batch | {"tokens": batch["tokens"].at[1, 6].set(4 + (batch["tokens"][1, 6] - 3) % 26)}
    one, two = (score(BY_FREQUENCY)(of(params), x, 0).scores for x in (batch, other))
    for told in ("share", "entropy", "confidence", "top_id"):
        first, second = (np.asarray(getattr(scores, told))[1] for scores in (one, two))
        np.testing.assert_array_equal(first[:7], second[:7], err_msg=told)
    assert one.nll[1, 6] != two.nll[1, 6]
    assert (np.asarray(one.share)[1, 7:] != np.asarray(two.share)[1, 7:]).all()


def test_shares_are_averaged_by_category(task, score, params, batch):
    found = score(BY_FREQUENCY)(of(params), batch, 0)
    labels = tasks.labels(task.tables, jnp.asarray(batch["tokens"]), {})
    names = tasks.label_names(task.tables)
    total, count = share_sums(found, labels, len(names))
    is_rare = (np.asarray(labels) == names.index(("frequency_mass", "rarest_quarter"))).any(0) & found.is_counted_RS
    place = names.index(("frequency_mass", "rarest_quarter"))
    assert count[place] == is_rare.sum() > 0
    np.testing.assert_allclose(total[place], np.asarray(found.scores.share)[is_rare].sum(), rtol=1e-5)
    assert count[0] == found.is_counted_RS.sum()
    lines = share_lines(names, np.asarray(total), np.asarray(count))
    share = np.asarray(found.scores.share)[is_rare].mean()
    assert f"frequency_mass       rarest_quarter           {share:6.3f} {is_rare.sum():>12}" in lines
    assert len(lines) == (np.asarray(count) > 0).sum() < len(names), "categories without tokens have no line"


def test_fits_on_held_out_text(task, score, params, batch):
    """Gate and bands together cost less than they did unfitted, and the config remembers them."""
    combination = config.learned_gate(calibration=Calibration(bands="frequency_mass"))
    text = combined_fit.held_out(combination, experts(task), of(params), [batch, batch])
    fitted = combined_fit.fit(combination, task, text)
    before, after = (score(one)(of(params), batch, 0) for one in (AVERAGE, fitted))
    counted = np.asarray(before.is_counted_RS)
    assert len(text.targets_N) == 2 * counted.sum()
    assert after.scores.nll.sum() < before.scores.nll.sum() - 0.1 * counted.sum()
    assert len(fitted.weights) == 7
    assert len(fitted.calibration.slopes) == 4
    curve = combined_fit.adjustment_curve(AVERAGE, task, text, [0.0, 1.0], COUNTS == 0)
    np.testing.assert_allclose(curve.all_P[0], np.asarray(before.scores.nll)[counted].mean(), rtol=1e-5)
    assert curve.rare_P[1] < curve.rare_P[0], "the rarest ids gain by logit adjustment, whatever the prediction"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("ar", "block_chain"), ScoreKind.EXACT),
        (("prefix", "ar"), ScoreKind.EXACT),
        (("ar", "infill"), ScoreKind.CONDITIONAL),
        (("ar", "surest first"), ScoreKind.CONDITIONAL),
        (("left out", "block_chain"), ScoreKind.CONDITIONAL),
    ],
)
def test_a_combination_is_exact_where_both_see_the_left_alone(names, kind):
    assert part("both", Combination(experts=names), READINGS).kind == kind


def test_what_is_no_prediction_is_not_combined():
    with pytest.raises(ConfigError, match="'both' names 'bound', a bound or a mixture of orders, behind whose values"):
        part("both", Combination(experts=("ar", "bound")), READINGS)
    with pytest.raises(ConfigError, match="'both' names 'arr', which is no reading; did you mean 'ar'?"):
        part("both", Combination(experts=("arr", "infill")), READINGS)


def test_experts_of_different_vocabularies_are_refused(task):
    larger = dataclasses.replace(task, vocab_size=60)
    text = (
        "experts of a combination must share one vocabulary, and of these 'ar' predicts 32, 'block_chain' predicts 64 "
        "ids, so their probabilities belong to different tokens; train both on rows prepared with the same tokenizer "
        "and model.vocab_multiple."
    )
    with pytest.raises(ConfigError, match=re.escape(text)):
        check(Combination(), experts(task) | {"block_chain": Expert(larger, READINGS["block_chain"])})
    other = dataclasses.replace(task, byte_lengths_V=task.byte_lengths_V + 1)
    with pytest.raises(ConfigError, match="'ar' and 'block_chain' have vocabularies of one size and different tokens"):
        check(Combination(), experts(task) | {"block_chain": Expert(other, READINGS["block_chain"])})


def test_bands_that_are_not_there_and_unknown_frequencies_are_refused(task):
    with pytest.raises(ConfigError, match="bands='frequency_mas' is no family of categories by vocabulary id; did you"):
        frequencies(task, config.average(calibration=Calibration(bands="frequency_mas")))
    three = Calibration(bands="frequency_mass", slopes=(1.0,) * 3, offsets=(0.0,) * 3)
    with pytest.raises(ConfigError, match="slopes has 3 numbers, and 'frequency_mass' has 4 labels"):
        frequencies(task, config.average(calibration=three))
    with pytest.raises(ConfigError, match="gate='expected_frequency' with adjustment=0.0 reads training frequencies"):
        frequencies(dataclasses.replace(task, has_counts=False), config.frequency_gate(-3.0))
