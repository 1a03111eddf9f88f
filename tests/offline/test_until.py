"""A task's own words for how a text is written, and contexts that are longer than the model has room for."""

from types import SimpleNamespace

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.sampling import Choice
from hybridlm.offline import until
from hybridlm.offline.opened import open_model
from tests.fixtures.small_run import devices


@pytest.fixture(scope="module")
def opened(trained):
    with devices(1):
        return open_model(trained, overrides={})


@pytest.fixture
def asked(monkeypatch):
    """Prompts and configs that the sampler gets, which writes each prompt in capitals."""
    found = []

    def write(opened, prompts, config):
        found.append((list(prompts), config))
        return [SimpleNamespace(written=prompt.upper()) for prompt in prompts], None

    monkeypatch.setattr(until, "write", write)
    return found


def test_answers_come_in_the_order_of_the_questions_and_alike_ones_are_written_together(opened, asked):
    line, few = {"until": ["\n"], "max_gen_toks": 8}, {"until": "\n", "max_gen_toks": 4}
    pairs = [("a", line), ("b", few), ("c", line), ("d", line)]
    assert until.continued(opened, pairs, 2) == ["A", "B", "C", "D"]
    assert [(prompts, config.tokens) for prompts, config in asked] == [(["a", "c"], 8), (["d"], 8), (["b"], 4)]
    assert {config.stop for _, config in asked} == {("\n",)}


def test_a_task_gets_the_likeliest_tokens_unless_it_asks_for_samples():
    assert until.sampling({"temperature": 0.7}).choice == Choice(temperature=0.0)
    assert until.sampling({"do_sample": True, "temperature": 0.7, "top_p": 0.9}).choice == Choice(
        temperature=0.7, top_p=0.9
    )
    assert until.sampling({}).tokens == until.TOKENS


def test_a_long_context_loses_its_beginning(opened, asked):
    text = "The old dog walks behind the river. " * 9
    until.continued(opened, [(text, {"max_gen_toks": 8})], 1)
    ((prompt,), _) = asked[0]
    (ids,) = opened.tokenizer.encode_batch([prompt])
    assert text.endswith(prompt) and len(ids) <= opened.experiment.data.row_length - 9
    assert until._fitting(opened.tokenizer, "é" * 30, 3).strip("é") == "", "and never half a character"


def test_what_cannot_be_asked_is_refused(opened):
    with pytest.raises(ConfigError, match="max_gen_toks=256 leaves no room for a context in the 32 tokens"):
        until.continued(opened, [("a", {})], 1)
    with pytest.raises(ConfigError, match="the task sets num_beams, and texts are written by until, max_gen_toks"):
        until.sampling({"num_beams": 4})


def test_a_text_is_written_up_to_a_string(opened):
    (text,) = until.continued(opened, [("The old", {"max_gen_toks": 6, "until": ["e"]})], 1)
    assert "e" not in text
