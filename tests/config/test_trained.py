"""Which readings a model was trained for: who sees whom, what is hidden, where targets lie; not how much of it."""

import pytest

from hybridlm.config import trained
from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import (
    autoregressive,
    block_diffusion,
    eso_lm,
    masked_diffusion,
    masked_lm,
    prefix_lm,
    shared_ar_diffusion,
)

HYBRID = {"ar": autoregressive(), "block": block_diffusion(16)}
CASES = [
    (autoregressive(), HYBRID, True),
    (block_diffusion(8, "cosine"), HYBRID, True),
    (masked_diffusion(), HYBRID, False),
    (prefix_lm(0.5, 0.5), HYBRID, False),
    (masked_diffusion(), {"mlm": masked_lm()}, True),
    (masked_diffusion(), {"shifted": masked_lm(predicts="next")}, False),
    (autoregressive(), {"shared": shared_ar_diffusion(16)}, True),
    (autoregressive(), {"prefix": prefix_lm(0.0, 0.8)}, True),
    (autoregressive(), {"prefix": prefix_lm(0.2, 0.8)}, False),
    (autoregressive(), {"eso": eso_lm(0.5)}, False),
    (masked_diffusion(), {"mine": autoregressive(builder="mine.objectives:late_tokens")}, True),
]


@pytest.mark.parametrize(("asked", "objectives", "expected"), CASES)
def test_a_reading_is_known_from_what_the_objectives_show(asked, objectives, expected):
    assert trained.is_for(Reading(objective=asked), objectives) is expected


def test_a_reading_of_another_network_is_not_judged_by_these_objectives():
    assert trained.is_for(Reading(objective=masked_diffusion(), network="runs/other"), HYBRID)
