"""A sampler is refused, in a sentence, where the model has not learned what it needs."""

import dataclasses

import pytest

from hybridlm import masks
from hybridlm.config import sampling
from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import (
    autoregressive,
    block_diffusion,
    masked_diffusion,
    masked_lm,
    prefix_lm,
    windowed_blocks,
)
from hybridlm.config.sampling import BY_TIME, COMBINED, SamplingConfig, check_prompts
from hybridlm.sampling import order, samplers
from hybridlm.sampling.blocks import Sizes
from hybridlm.sampling.samplers import Trained


def trained(*objectives, mask=None):
    named = {str(number): objective for number, objective in enumerate(objectives)}
    return Trained(objectives=named, mask=mask, mask_id=3, eos=2)


def make(sampler, *objectives, **values):
    return samplers.make(SamplingConfig(sampler=sampler, **values), trained(*objectives))


@pytest.mark.parametrize(
    ("sampler", "objectives", "values", "message"),
    [
        (
            "autoregresive",
            [autoregressive()],
            {},
            "there is no sampler 'autoregresive'; did you mean 'autoregressive'?",
        ),
        (
            "autoregressive",
            [masked_lm()],
            {},
            "sampler 'autoregressive' needs a model trained to predict the next token, but this one was trained on "
            "layout='bidirectional' with corruption='masked_lm'. No sampler fits it.",
        ),
        (
            "speculative",
            [autoregressive()],
            {},
            "sampler 'speculative' needs a model trained to predict the next token and to denoise masked ones, but "
            "this one was trained on layout='causal' with corruption='none'. Samplers for it: autoregressive, "
            "combined.",
        ),
        (
            "eso_lm",
            [masked_diffusion()],
            {},
            "with corruption='absorbing'. Samplers for it: masked_diffusion.",
        ),
        (
            "speculative",
            [autoregressive(), block_diffusion(16)],
            {"block_size": 8},
            "block_size=8 is not that of training, 16: the network has only seen noise in blocks of that size. Leave "
            "it out.",
        ),
        (
            "autoregressive",
            [autoregressive()],
            {"steps": 3, "order": "margin"},
            "steps=3, order='margin' says nothing to sampler 'autoregressive', which has no such choice; leave it out, "
            "or take one of masked_diffusion, block_diffusion.",
        ),
        (
            "masked_diffusion",
            [masked_diffusion()],
            {"block_size": 4},
            "block_size=4 says nothing to sampler 'masked_diffusion', which reads steps, order, threshold, bound, "
            "remask; leave it out, or take one of speculative, block_diffusion.",
        ),
        ("block_diffusion", [block_diffusion(4)], {"order": "surest"}, "order='surest' is not one of random, left_to"),
        (
            "block_diffusion",
            [block_diffusion(4)],
            {"remask": 0.3},
            "remask=0.3 masks again as time runs backwards, so it goes with order='time'; order is 'random'.",
        ),
        (
            "masked_diffusion",
            [masked_diffusion()],
            {"order": "time", "threshold": 0.9},
            "threshold=0.9 and bound=0.0 go with order='confidence' and order='entropy'; by time, chance decides",
        ),
    ],
)
def test_refusals(sampler, objectives, values, message):
    with pytest.raises(ConfigError) as error:
        make(sampler, *objectives, **values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokens": 0}, "tokens=0 must be at least 1."),
        ({"num": 0}, "num=0 must be at least 1."),
        ({"steps": 0}, "steps=0 must be at least 1; as many as there are tokens to write is exact"),
        ({"block_size": -2}, "block_size=-2 must be at least 1; 0 is that of training."),
        (
            {"threshold": 2.0},
            "threshold=2.0 is the probability from which tokens are written at once, so it must lie between 0 and 1; "
            "at 0 none is.",
        ),
        ({"stop": ("\n", "")}, "an empty stop string would end every text before it begins; leave it out."),
    ],
)
def test_impossible_configs_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        SamplingConfig(**values)


def test_names_are_known_before_anything_is_loaded():
    assert (*samplers.SAMPLERS, COMBINED) == sampling.SAMPLERS
    assert (*order.ORDERS, BY_TIME) == sampling.ORDERS


@pytest.mark.parametrize("prompts", [[], [""], ["a", ""]])
def test_nothing_cannot_be_continued(prompts):
    with pytest.raises(ConfigError, match="--prompt is empty, but a model continues a text"):
        check_prompts(prompts)


def mask_of(*objectives, mask=None):
    return samplers.make(SamplingConfig(), trained(*objectives, mask=mask)).start.keywords["mask"]


def test_a_next_token_sees_what_it_saw_in_training():
    document = masks.same_segment() & masks.valid()
    assert mask_of(autoregressive()) == mask_of(prefix_lm(), autoregressive()) == masks.causal() & document
    assert mask_of(prefix_lm()) == (masks.causal() | masks.prefix()) & document
    own = masks.custom(lambda q, k: k.position > 0)
    assert mask_of(autoregressive(), mask=own) == masks.causal() & document & own
    near = dataclasses.replace(autoregressive(), window=(7, 0))
    assert mask_of(near) == masks.causal() & masks.window(7) & document


@pytest.mark.parametrize(
    ("sampler", "objective", "shown"),
    [
        ("masked_diffusion", masked_diffusion(window=(7, 2)), masks.bidirectional() & masks.window(7, 2)),
        ("block_diffusion", block_diffusion(4, window=(7, 2)), masks.block_diffusion() & masks.window(7, 2)),
    ],
)
def test_noise_sees_what_it_saw_in_training(sampler, objective, shown):
    assert make(sampler, objective).advance.keywords["mask"] == shown & masks.same_segment() & masks.valid()


def test_blocks_have_the_size_in_which_masked_tokens_were_denoised():
    """Of two sizes, the objective of the one that is asked for says how; blocks of a masked LM are none of them."""
    objectives = (windowed_blocks(2, 5), block_diffusion(8, "cosine"), block_diffusion(4, clean_causal=True))
    for asked, sizes in ((0, Sizes(4, 1)), (4, Sizes(4, 1)), (8, Sizes(8, 8))):
        assert make("block_diffusion", *objectives, block_size=asked).start.keywords["sizes"] == sizes
    with pytest.raises(ConfigError, match="block_size=2 is not that of training, 4 or 8"):
        make("block_diffusion", *objectives, block_size=2)


@pytest.mark.parametrize(
    ("objectives", "asked", "size"),
    [
        ([autoregressive(), block_diffusion(16)], 0, 16),
        ([autoregressive(), block_diffusion(4), block_diffusion(16)], 16, 16),
        ([autoregressive(), masked_diffusion()], 0, samplers.DRAFT),
        ([autoregressive(), masked_diffusion()], 5, 5),
    ],
)
def test_drafts_have_the_block_size_of_training(objectives, asked, size):
    writer = make("speculative", *objectives, block_size=asked)
    assert writer.advance.keywords["draft"].block_size == size


def test_drafts_see_what_blocks_of_their_size_saw():
    """Not what the objective over whole texts did, though it stands first."""
    blocks = block_diffusion(4, window=(7, 2)), block_diffusion(8)
    objectives = autoregressive(), masked_diffusion(window=(3, 3)), *blocks
    document = masks.same_segment() & masks.valid()
    for asked, shown in ((4, masks.block_diffusion() & masks.window(7, 2)), (8, masks.block_diffusion())):
        draft = make("speculative", *objectives, block_size=asked).advance.keywords["draft"]
        assert (draft.block_size, draft.mask) == (asked, shown & document)


def test_chunks_divide_the_text_evenly():
    writer = make("autoregressive", autoregressive(), tokens=100, chunk=32)
    assert writer.advance.keywords["steps"] == 25
