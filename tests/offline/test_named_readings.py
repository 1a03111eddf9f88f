"""How `--readings` names a way of reading, and what it refuses."""

import dataclasses

import pytest

from hybridlm.config.combination import average
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import EvaluationConfig, Reading, standard_readings
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import autoregressive, block_diffusion, masked_lm
from hybridlm.config.trained import check
from hybridlm.offline.subject import only

READINGS = standard_readings(block_size=8, samples=2) | {
    "chained": Reading(objective=block_diffusion(8), estimator="chain")
}
EXPERIMENT = Experiment(
    name="run",
    objectives={"ar": autoregressive(), "denoise": block_diffusion(8), "bert": masked_lm()},
    evaluation=EvaluationConfig(readings=READINGS, combinations={"both": average(experts=("ar", "chained"))}),
)


def test_a_reading_is_named_with_an_estimator_and_an_order():
    found = only(
        EXPERIMENT, ("ar", "block:chain", "denoise:order_mixture", "bert:chain:confidence")
    ).evaluation.readings
    assert list(found) == ["ar", "block_chain", "denoise_order_mixture", "bert_chain_confidence"]
    assert found["ar"] == READINGS["ar"]
    assert found["block_chain"] == dataclasses.replace(READINGS["block"], estimator="chain")
    assert found["denoise_order_mixture"] == Reading(objective=block_diffusion(8), estimator="order_mixture")
    assert found["bert_chain_confidence"] == Reading(objective=masked_lm(), estimator="chain", order="confidence")


def test_a_combination_brings_its_experts():
    evaluation = only(EXPERIMENT, ("both",)).evaluation
    assert (list(evaluation.readings), list(evaluation.combinations)) == (["ar", "chained"], ["both"])
    assert not only(EXPERIMENT, ("ar",)).evaluation.combinations
    assert only(EXPERIMENT, ()) == EXPERIMENT


REFUSED = {
    "blok": "--readings names 'blok', which is no reading of this model; did you mean 'block'?",
    "denoise": "--readings names 'denoise', which is no reading of this model; known are ar, block, chained, masked, "
    "prefix",
    "blok:chain": "--readings names 'blok', which is no reading of this model; did you mean 'block'?",
    "block:chian": "--readings=block:chian: estimator='chian' is not one of objective, chain, enumeration, "
    "order_mixture, leave_one_out; did you mean 'chain'?",
    "block:chain:confidence:4": "--readings=block:chain:confidence:4 has too many parts; write NAME, NAME:ESTIMATOR or "
    "NAME:chain:ORDER.",
}


def test_two_readings_never_share_a_column():
    readings = READINGS | {"block_chain": Reading(objective=autoregressive())}
    experiment = dataclasses.replace(EXPERIMENT, evaluation=EvaluationConfig(readings=readings))
    assert list(only(experiment, ("ar", "ar")).evaluation.readings) == ["ar"]
    with pytest.raises(ConfigError, match="--readings names two different ones whose column would be 'block_chain'"):
        only(experiment, ("block:chain", "block_chain"))


@pytest.mark.parametrize(("asked", "text"), REFUSED.items(), ids=REFUSED)
def test_what_is_no_reading(asked, text):
    with pytest.raises(ConfigError) as refused:
        only(EXPERIMENT, (asked,))
    assert str(refused.value) == text


def test_blocks_of_a_size_that_was_not_trained():
    reading = Reading(objective=block_diffusion(4), estimator="chain")
    with pytest.raises(ConfigError) as refused:
        check("evaluation.readings.small", reading, EXPERIMENT.objectives)
    assert str(refused.value) == (
        "evaluation.readings.small reveals blocks of 4, but this model learned to reveal blocks of 8 (denoise) and "
        "whole documents (bert), so the result would be the likelihood of a model that nobody trained; name one of "
        "these objectives, as in --readings=denoise:chain."
    )


def test_masks_for_a_model_that_never_saw_one():
    plain = {name: reading for name, reading in READINGS.items() if reading.estimator == "objective"}
    evaluation = dataclasses.replace(EXPERIMENT.evaluation, readings=plain, combinations={})
    causal = dataclasses.replace(EXPERIMENT, objectives={"ar": autoregressive()}, evaluation=evaluation)
    with pytest.raises(ConfigError) as refused:
        only(causal, ("masked:leave_one_out",))
    assert str(refused.value) == (
        "--readings=masked:leave_one_out asks a model about masked tokens that never saw one in training: its "
        "objectives are ar. Left to right, autoregressive() is exact in one pass (--readings=ar)."
    )
    assert only(causal, ("masked",)).evaluation.readings == {"masked": READINGS["masked"]}, (
        "the plain bound may be asked"
    )
