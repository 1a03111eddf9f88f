"""Which estimators go with which objectives, and what is said where they do not."""

import pytest

from hybridlm.config.combination import average
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import ESTIMATORS, EvaluationConfig, Reading
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, masked_lm, uniform_diffusion

REFUSED = {
    "an estimator of masked tokens where none are masked": (
        {"objective": autoregressive(), "estimator": "chain"},
        "reading.estimator='chain' masks tokens and asks for them, which needs an objective trained on masked tokens "
        "(corruption 'absorbing' or 'masked_lm'), but corruption is 'none'; leave estimator out to read the objective "
        "as it is.",
    ),
    "uniform noise": (
        {"objective": uniform_diffusion(), "estimator": "leave_one_out"},
        "reading.estimator='leave_one_out' masks tokens and asks for them, which needs an objective trained on masked "
        "tokens (corruption 'absorbing' or 'masked_lm'), but corruption is 'uniform'; leave estimator out to read the "
        "objective as it is.",
    ),
    "left to right": (
        {"objective": masked_diffusion(layout="causal"), "estimator": "chain"},
        "reading.estimator='chain' is for documents that are seen whole (layout 'bidirectional') or blocks that "
        "predict at the masked token itself (layout 'blocks', predicts 'same'), but layout is 'causal' and predicts "
        "'same'; from left to right, autoregressive() is exact in one pass.",
    ),
    "enumeration of a document": (
        {"objective": masked_diffusion(), "estimator": "enumeration"},
        "reading.estimator='enumeration' masks every set of tokens of a block, 2^B - 1 of them, for blocks of at most "
        "8; block_size is the length of the document. Take estimator='objective' with more samples for the bound, or "
        "'chain' for an exact likelihood.",
    ),
    "enumeration of a large block": (
        {"objective": block_diffusion(16), "estimator": "order_mixture"},
        "reading.estimator='order_mixture' masks every set of tokens of a block, 2^B - 1 of them, for blocks of at "
        "most 8; block_size is 16. Take estimator='objective' with more samples for the bound, or 'chain' for an exact "
        "likelihood.",
    ),
    "an order that reads gold": (
        {"objective": block_diffusion(4), "estimator": "chain", "order": "margin"},
        "reading.order='margin' reads the token that is to be predicted, so the order would tell of it and the chain "
        "would be no likelihood; take 'left_to_right', 'confidence' or 'entropy', which read predictions alone.",
    ),
    "an order of what is no chain": (
        {"objective": block_diffusion(4), "estimator": "enumeration", "order": "entropy"},
        "reading.order='entropy' is that of a chain, but reading.estimator is 'enumeration'; take estimator='chain', "
        "or leave order out.",
    ),
    "copies": (
        {"objective": block_diffusion(4), "copies": -1},
        "reading.copies=-1 must not be negative; 0 fills a pass.",
    ),
}


@pytest.mark.parametrize(("fields", "text"), REFUSED.values(), ids=REFUSED)
def test_refusals(fields, text):
    with pytest.raises(ConfigError) as refused:
        Reading(**fields)
    assert str(refused.value) == text


def test_what_stands_behind_a_value():
    found = {name: Reading(objective=block_diffusion(4), estimator=name) for name in ESTIMATORS}
    assert {name for name, reading in found.items() if reading.is_sampled} == {"objective"}
    assert {name for name, reading in found.items() if reading.has_predictions} == {"chain", "leave_one_out"}
    assert Reading(objective=masked_lm(), estimator="leave_one_out").has_predictions
    assert Reading(objective=autoregressive()).has_predictions


def test_a_reading_leaves_the_loss_of_a_clean_stream_out():
    assert Reading(objective=block_diffusion(4, clean_causal=True, clean_weight=1.0)).scored.clean_weight == 0


BOUND = Reading(objective=block_diffusion(4))
COMBINED = {
    "the name of a reading": (
        {"ar": average(experts=("ar", "block"))},
        "evaluation.combinations.ar has the name of a reading; give its column another one.",
    ),
    "an unknown expert": (
        {"both": average(experts=("ar", "blok"))},
        "evaluation.combinations.both.experts names 'blok', which is no reading; did you mean 'block'?",
    ),
    "a bound": (
        {"both": average(experts=("ar", "block"))},
        "evaluation.combinations.both.experts names 'block', a bound or a mixture of orders, behind whose values "
        "stands no one distribution per token; take a reading of the same objective with estimator='chain', "
        "block:chain in flags.",
    ),
}


@pytest.mark.parametrize(("combinations", "text"), COMBINED.values(), ids=COMBINED)
def test_combinations_of_what_cannot_be_combined(combinations, text):
    readings = {"ar": Reading(objective=autoregressive()), "block": BOUND}
    with pytest.raises(ConfigError) as refused:
        EvaluationConfig(readings=readings, combinations=combinations)
    assert str(refused.value) == text
