"""Diffusion samplers by name: prompts of any length in, exactly as many tokens as were asked for out."""

import dataclasses
import functools

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, uniform_diffusion
from hybridlm.config.sampling import GREEDY, SamplingConfig
from hybridlm.sampling import samplers, streaming
from hybridlm.sampling.blocks import Sizes
from hybridlm.sampling.denoisers import denoiser
from hybridlm.sampling.masked import Ancestral, Ordered
from hybridlm.sampling.remask import Remask
from hybridlm.sampling.samplers import Trained

MASK, EOS, PROMPTS = 16, 15, [[1, 5, 9, 2, 6, 5], [1, 3, 5]]
OBJECTIVES = {
    "masked_diffusion": masked_diffusion(),
    "uniform_diffusion": uniform_diffusion(),
    "block_diffusion": block_diffusion(4),
}


def trained(objective):
    return Trained(objectives={"only": objective}, mask_id=MASK, eos=EOS, size=17, never=(MASK,))


def write(network, sampler, *, prompts=PROMPTS, **values):
    """(ids heard of every row, every step)."""
    values = {"tokens": 7, "steps": 3, **values}
    config = SamplingConfig(sampler=sampler, **values)
    writer = samplers.make(config, trained(OBJECTIVES[sampler]))
    heard = [[] for _ in prompts]

    def listen(new):
        for row, more in zip(heard, new, strict=True):
            row += more
        return [False for _ in heard]

    keys = streaming.row_keys(0, len(prompts))
    return heard, writer.trace(streaming.write(writer, network, prompts, keys, listen))


@pytest.mark.parametrize("sampler", OBJECTIVES)
def test_every_row_gets_its_tokens_and_none_is_a_mask(small, sampler):
    heard, trace = write(small(layers=1), sampler, record=True)
    assert all(len(row) == 7 or (row[-1] == EOS and len(row) < 7) for row in heard)
    assert not any(MASK in row for row in heard)
    last_BT = np.asarray(trace.tokens_NBT)[int(trace.count) - 1]
    for number, (prompt, row) in enumerate(zip(PROMPTS, heard, strict=True)):
        assert last_BT[number, : len(prompt) + len(row)].tolist() == [*prompt, *row]


@pytest.mark.parametrize("sampler", ["masked_diffusion", "block_diffusion"])
def test_neither_the_others_of_its_batch_nor_chunks_change_a_text(small, sampler):
    network = small(layers=1)
    together, _ = write(network, sampler, chunk=32)
    alone, _ = write(network, sampler, prompts=PROMPTS[:1], chunk=4)
    assert alone == together[:1]


def test_a_config_says_which_sampler_it_is():
    of = functools.partial(denoiser, objective=masked_diffusion("cosine"), tokens=8)
    assert of(SamplingConfig()) == Ordered(steps=8)
    assert of(SamplingConfig(steps=20, order="entropy", bound=0.5)) == Ordered(steps=8, order="entropy", bound=0.5)
    assert of(SamplingConfig(steps=2, choice=GREEDY)) == Ordered(steps=2, choice=GREEDY)
    by_time = of(SamplingConfig(steps=20, order="time", remask=0.1))
    assert isinstance(by_time, Ancestral) and by_time.steps == 20
    assert by_time.remask == Remask(kind="rescale", eta=0.1)


def test_blocks_of_which_nothing_was_shown_are_written_at_once():
    learned = block_diffusion(4, corruption="all")
    assert denoiser(SamplingConfig(), learned, 4) == Ordered(steps=1)
    with pytest.raises(ConfigError) as refused:
        denoiser(SamplingConfig(steps=2), learned, 4)
    assert str(refused.value) == (
        "steps=2 shows the network blocks of which some is written, and corruption='all' trained it on wholly masked "
        "ones alone; leave steps out, which writes each block at once."
    )


@pytest.mark.parametrize("sampler", OBJECTIVES)
def test_a_model_that_never_saw_noise_is_refused(sampler):
    with pytest.raises(ConfigError, match="needs a model trained to denoise .* Samplers for it: autoregressive"):
        samplers.make(SamplingConfig(sampler=sampler), trained(autoregressive()))


def test_blocks_of_another_size_than_in_training_are_refused():
    with pytest.raises(ConfigError, match="block_size=8 is not that of training, 4"):
        samplers.make(SamplingConfig(sampler="block_diffusion", block_size=8), trained(block_diffusion(4)))


def test_a_causal_clean_stream_is_read_causally():
    """Where clean tokens were trained to see what is to their left alone, and not their block, a prompt is read so."""
    for objective, clean in ((block_diffusion(4), 4), (dataclasses.replace(block_diffusion(4), clean_causal=True), 1)):
        writer = samplers.make(SamplingConfig(sampler="block_diffusion"), trained(objective))
        assert writer.start.keywords["sizes"] == Sizes(noisy=4, clean=clean)
