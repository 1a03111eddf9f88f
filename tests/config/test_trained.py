"""Which readings a model was trained for: who sees whom, what is hidden, where targets lie; not how much is masked."""

import pytest

from hybridlm.config import trained
from hybridlm.config.errors import ConfigError
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
    (block_diffusion(16, "cosine"), HYBRID, True),
    (block_diffusion(8), HYBRID, False),
    (block_diffusion(16), {"shared": shared_ar_diffusion(16)}, False),
    (shared_ar_diffusion(16), {"shared": shared_ar_diffusion(16)}, True),
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


def test_a_chain_behind_text_that_was_read_otherwise_is_refused():
    chain = Reading(objective=block_diffusion(16), estimator="chain")
    trained.check("reading", chain, HYBRID)
    with pytest.raises(ConfigError) as refused:
        trained.check("reading", chain, {"shared": shared_ar_diffusion(16)})
    assert str(refused.value) == (
        "reading reveals blocks of 16, but this model learned to reveal blocks of 16 behind text that sees what is to "
        "its left alone (shared), so the result would be the likelihood of a model that nobody trained; name one of "
        "these objectives, as in --readings=shared:chain."
    )


def test_a_reading_of_another_network_is_not_judged_by_these_objectives():
    assert trained.is_for(Reading(objective=masked_diffusion(), network="runs/other"), HYBRID)
