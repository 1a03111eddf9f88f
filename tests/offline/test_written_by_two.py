"""Two networks write one text: its law is the distribution that the combination is scored by, token by token."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.combine.refined import Latency
from hybridlm.config.combination import Calibration, average, frequency_gate, learned_gate, refiner
from hybridlm.config.errors import ConfigError
from hybridlm.config.sampling import SamplingConfig
from hybridlm.evaluation import combined
from hybridlm.evaluation.joined import histogram
from hybridlm.offline import generate as generation
from hybridlm.offline.named_readings import named
from hybridlm.offline.opened import Saved, open_model

pytestmark = pytest.mark.usefixtures("small_and_plain")

PROMPTS = ["the small dog", "a river sees the"]
BLOCK = 8


@pytest.fixture(scope="module")
def opened(trained):
    return open_model(trained, overrides={})


def write(opened, combination, **values):
    config = SamplingConfig(sampler="combined", combination=combination, tokens=20, num=2, **values)
    return generation.write(opened, PROMPTS, config)[0]


def scored(opened, combination, text):
    """-log p and the first expert's share of every token of a text, as `hybridlm evaluate` finds them."""
    ids = [opened.tokenizer.bos, *opened.tokenizer.encode_batch([text.prompt])[0].tolist(), *text.ids]
    ids = ids[: len(ids) // BLOCK * BLOCK]
    zeros = jnp.zeros((1, len(ids)), jnp.int32)
    batch = {"tokens": jnp.asarray([ids]), "segment_ids": zeros + 1, "positions": jnp.arange(len(ids))[None]}
    experts, params = {}, {}
    for name in combination.experts:
        reading = named(opened.experiment, name)
        run = open_model(reading.network, overrides={}) if reading.network else opened
        experts[name], params[name] = combined.Expert(run.task, reading), jax.device_put(run.params, jax.devices()[0])
    found = combined.scorer(combination, experts)(params, batch, 0)
    return np.asarray(found.scores.nll)[0], np.asarray(found.scores.share)[0]


GATES = {
    "refiner": refiner(0.1, share=0.25, rule="log_linear"),
    "frequency gate": frequency_gate(-4.0, calibration=Calibration(adjustment=0.2)),
}


@pytest.mark.parametrize("combination", GATES.values(), ids=GATES)
def test_what_is_drawn_has_the_probability_that_is_scored(opened, earlier, combination):
    """Whole blocks are compared: a scored chain knows where its document ends within the last one."""
    combination = dataclasses.replace(combination, experts=("ar", f"block:chain@{earlier}"))
    texts = write(opened, combination)
    shares = []
    for text in texts:
        nll, share = scored(opened, combination, text)
        begin = 1 + len(opened.tokenizer.encode_batch([text.prompt])[0])
        count = len(nll) - begin
        assert count > 3
        np.testing.assert_allclose(text.nats[:count], nll[begin:], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(text.shares[:count], share[begin:], rtol=1e-3, atol=1e-4)
        shares += text.shares
    if combination.gate == "refine":
        assert set(np.round(shares, 4)) == {0.25, 1.0}, "some tokens are refined, and some are not"


def test_a_closed_gate_writes_what_one_expert_writes(opened):
    alone = generation.write(opened, PROMPTS, SamplingConfig(tokens=20, num=2))[0]
    first = write(opened, average(1.0, experts=("ar", "block:chain")))
    assert [text.ids for text in first] == [text.ids for text in alone]


REFUSED = {
    "masked:chain": "expert 'masked:chain' cannot write: text comes from left to right, so an expert sees the text so "
    "far and nothing of what follows, not even how much. Take a reading of next tokens (ar) or a chain of blocks "
    "(block:chain).",
    "blok:chain": "--readings names 'blok', which is no reading of this model; did you mean 'block'?",
    "block": "the combination names 'block', a bound or a mixture of orders, behind whose values stands no one "
    "distribution per token; take a reading of the same objective with estimator='chain', block:chain in flags.",
}


@pytest.mark.parametrize(("expert", "message"), REFUSED.items(), ids=REFUSED)
def test_readings_that_do_not_write_from_left_to_right_are_refused(opened, expert, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        write(opened, average(experts=("ar", expert)))


OPEN = {"gate": learned_gate(), "calibration": average(calibration=Calibration(bands="frequency_mass"))}


@pytest.mark.parametrize("combination", OPEN.values(), ids=OPEN)
def test_numbers_that_are_still_to_be_fitted_are_refused(opened, combination):
    with pytest.raises(ConfigError, match="has numbers that are fitted on held-out text first; `hybridlm evaluate"):
        write(opened, combination)


def test_a_run_with_another_tokenizer_is_refused(opened, earlier, monkeypatch):
    vocabulary = next((earlier / "vocabulary").glob("*.json"))
    content = vocabulary.read_text()
    try:
        vocabulary.write_text(content + "\n")
        with pytest.raises(ConfigError, match="was trained with another tokenizer, so its probabilities belong to"):
            write(opened, average(experts=("ar", f"block:chain@{earlier}")))
    finally:
        vocabulary.write_text(content)


def test_what_two_cannot_write_is_refused_before_weights_are_read(opened, trained, earlier, monkeypatch):
    monkeypatch.setattr(Saved, "read", lambda self: pytest.fail("weights were read"))
    for expert, says in {**REFUSED, f"masked:chain@{earlier}": "cannot write"}.items():
        config = SamplingConfig(sampler="combined", combination=average(experts=("ar", expert)), tokens=4)
        with pytest.raises(ConfigError, match=re.escape(says)):
            generation.generate(trained, PROMPTS, config, overrides={})


def test_what_a_combination_does_not_read_is_refused(opened):
    with pytest.raises(ConfigError, match="steps=3 says nothing to sampler 'combined', which has no such choice"):
        write(opened, average(), steps=3)


def test_a_combination_and_its_sampler_go_together():
    with pytest.raises(ConfigError, match="a combination is what the sampler 'combined' writes with, so name both"):
        SamplingConfig(combination=average())
    with pytest.raises(ConfigError, match="sampler 'combined' writes no token twice, so there are no steps"):
        SamplingConfig(sampler="combined", combination=average(), record=True)


def test_the_histogram_of_refined_tokens():
    """Eight texts of five tokens, of which four had none, two 1 and two 3 refined; of seven texts it says nothing."""
    assert histogram(Latency(0.2, np.array([4, 2, 0, 2]))) == (
        "20.0% of tokens, 1.0 a text; texts by refined tokens: 0: 4, 1: 2, 2: 0, 3: 2"
    )
    assert histogram(Latency(0.2, np.array([4, 1, 0, 2]))) == "20.0% of tokens"
