"""A trained mixture continues a prompt by every sampler it was trained for."""

import dataclasses
import json
import re

import pytest

from hybridlm import masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.sampling import GREEDY, SamplingConfig
from hybridlm.offline import generate as generation
from hybridlm.offline.opened import open_model
from hybridlm.sampling.samplers import SAMPLERS
from hybridlm.storage.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("small_and_plain")

PROMPTS = ["the small dog", "a river"]


@pytest.fixture(scope="module")
def opened(trained):
    return open_model(trained, overrides={})


def write(opened, sampler, **values):
    config = SamplingConfig(sampler=sampler, tokens=8, choice=GREEDY, **values)
    return generation.write(opened, PROMPTS, config)


@pytest.mark.parametrize("sampler", ["speculative", "masked_diffusion", "block_diffusion"])
def test_every_sampler_writes_what_was_asked_for(opened, sampler):
    texts, _ = write(opened, sampler)
    assert [text.prompt for text in texts] == PROMPTS
    special = {opened.tokenizer.pad, opened.tokenizer.bos, opened.tokenizer.mask}
    for text in texts:
        assert len(text.ids) == 8 or text.ids[-1] == opened.tokenizer.eos
        assert not special & set(text.ids) and text.written == opened.tokenizer.decode(text.ids)
    if sampler == "speculative":  # verified by the next-token side, so the same text
        assert [text.ids for text in texts] == [text.ids for text in write(opened, "autoregressive")[0]]


def test_a_picture_is_made_of_the_steps_alone(opened):
    _, trace = write(opened, "masked_diffusion", steps=4, record=True)
    assert int(trace.count) == 5
    with pytest.raises(ConfigError, match="sampler 'autoregressive' writes no token twice, so there are no steps"):
        write(opened, "autoregressive", record=True)


def test_the_picture_is_a_page_of_every_token_and_its_confidence(trained, tmp_path, capsys):
    page = tmp_path / "pictures" / "picture.html"
    config = SamplingConfig(sampler="masked_diffusion", tokens=8, choice=GREEDY, steps=4)
    generation.generate(trained, PROMPTS, config, picture=str(page), overrides={})
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    found = json.loads(data)
    assert found["steps"] == 4
    facts = dict(re.findall(r"<dt>(\w+)</dt><dd>([^<]*)</dd>", page.read_text()))
    told = {"sampler": "masked_diffusion", "steps": "4", "order": "random", "temperature": "0.0", "seed": "0"}
    assert told.items() <= facts.items()
    for prompt, tokens in zip(PROMPTS, found["texts"], strict=True):
        written = [token["history"] for token in tokens if not token["given"]]
        assert "".join(token["history"][0][1] for token in tokens if token["given"]) == prompt
        assert len(written) == 8
        for (first, nothing, unsure), (step, _, confidence) in written:
            assert (first, nothing, unsure) == (0, None, 0) and 1 <= step <= 4 and 0 < confidence <= 1
    assert capsys.readouterr().out.count("--------") == 2


def test_the_picture_shows_what_was_printed_and_says_why_it_ends_there(opened, trained, tmp_path, capsys):
    """Five tokens are less than blocks hold, and a stop string cuts what a chunk holds."""
    config, page = SamplingConfig(sampler="block_diffusion", tokens=5, choice=GREEDY), tmp_path / "picture.html"
    whole = generation.write(opened, PROMPTS[:1], config)[0][0].written
    for stop, end in (
        ((), "Ended after the 5 tokens that were asked for."),
        ((whole[3],), "Ended before a stop string."),
    ):
        generation.generate(
            trained, PROMPTS[:1], dataclasses.replace(config, stop=stop), picture=str(page), overrides={}
        )
        data = json.loads(re.findall(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[0])
        shown = "".join(token["history"][-1][1] for token in data["texts"][0]).replace("↵", "")
        assert f"{shown}\n" == capsys.readouterr().out
        assert data["ends"] == [end]


def test_a_sampler_the_mixture_has_not_learned_is_refused(opened):
    missing = set(SAMPLERS) - {"autoregressive", "speculative", "masked_diffusion", "block_diffusion"}
    for name in missing:
        with pytest.raises(ConfigError, match=f"sampler '{name}' needs a model trained"):
            write(opened, name)


def test_what_the_model_cannot_write_is_refused_before_its_weights_are_read(trained, monkeypatch, tmp_path):
    def read(*arguments):
        raise AssertionError("weights are read")

    monkeypatch.setattr(Checkpoints, "latest_valid", read)

    def refused(prompt="a river", picture="", **values) -> str:
        config = SamplingConfig(**{"tokens": 8, **values})
        with pytest.raises(ConfigError) as error:
            generation.generate(trained, [prompt], config, picture=picture, overrides={})
        return str(error.value)

    assert refused(sampler="eso_lm").startswith("sampler 'eso_lm' needs a model trained to predict tokens in random or")
    assert refused(steps=3).startswith("steps=3 says nothing to sampler 'autoregressive'")
    assert refused(tokens=32).endswith(" or shorten the prompt.")
    assert refused(picture=str(tmp_path)) == (
        f"--picture={tmp_path} is a directory, and a picture is one file; name it, such as {tmp_path}/denoising.html."
    )
    (tmp_path / "taken").write_text("")
    assert refused(picture=f"{tmp_path}/taken/p.html").endswith(
        "is a file, and a directory is needed there; choose another name."
    )


def test_a_mask_over_labels_cannot_be_kept_while_a_text_is_written(opened):
    mask = masks.custom(lambda q, k: (k.word_band > 0) | (q.index - k.index < 4))
    experiment = dataclasses.replace(opened.experiment, mask=mask)
    with pytest.raises(ConfigError) as error:
        generation.check(PROMPTS, SamplingConfig(tokens=8), experiment, opened.tokenizer)
    assert str(error.value) == (
        "the mask of this model reads word_band, which whole texts were labelled with, and a text that is being "
        "written has no labels, so a new token cannot be shown what it saw in training. `hybridlm evaluate` scores the "
        "model; one that is to write wants a mask over positions, blocks or the prefix."
    )
    own = dataclasses.replace(opened.experiment, mask=masks.window(8) | masks.prefix())
    generation.check(PROMPTS, SamplingConfig(tokens=8), own, opened.tokenizer)


def test_a_prompt_is_printed_once_and_also_if_nothing_follows_it(capsys):
    heard = generation._aloud("The")
    heard(0, "")
    assert capsys.readouterr().out == "The"
    heard(0, " end")
    heard(0, "")
    assert capsys.readouterr().out == " end"
