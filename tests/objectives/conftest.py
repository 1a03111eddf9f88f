"""One small packed batch, and every objective there is; tests here say what holds for all of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config import objective as named
from hybridlm.objectives import single
from hybridlm.objectives.text import Ids, from_batch

PAD, MASK, BOS = 0, 1, 2
IDS = Ids(mask=MASK, never=(PAD, MASK, BOS), size=40)

OBJECTIVES = {
    "autoregressive": named.autoregressive(),
    "autoregressive across documents": named.autoregressive(across_documents=True),
    "prefix_lm": named.prefix_lm(0.1, 0.9),
    "masked_lm": named.masked_lm(0.5, keep=0.3, random=0.3),
    "masked_lm shifted (GPT-BERT)": named.masked_lm(0.5, predicts="next"),
    "masked_diffusion": named.masked_diffusion("cosine"),
    "masked_diffusion shifted": named.masked_diffusion("polynomial:2", predicts="next"),
    "masked_diffusion left to right": named.masked_diffusion(layout="causal"),
    "masked_diffusion after a prefix": named.masked_diffusion(layout="prefix", prefix=(0.2, 0.6)),
    "masked_diffusion in one step": named.masked_diffusion(corruption="all"),
    "masked_lm in runs": named.gpt_bert(rate=0.5)["masked"],
    "span_corruption": named.span_corruption(0.5, 2.0),
    "windowed_blocks": named.windowed_blocks(4, 5, 0.5),
    "autoregressive in a window": named.autoregressive(window=(3, 0)),
    "uniform_diffusion": named.uniform_diffusion("cosine"),
    "eso_lm": named.eso_lm(0.5),
    "shared_ar_diffusion": named.shared_ar_diffusion(4, 0.5),
    "block_diffusion": named.block_diffusion(4),
    "block_diffusion of clipped rates": named.block_diffusion(4, rates=(0.3, 0.8)),
    "block_diffusion in one step": named.block_diffusion(4, corruption="all"),
    "block_diffusion one by one": named.block_diffusion(1, corruption="all"),
    "block_diffusion in one stream": named.block_diffusion(4, streams=1),
}


def pack(rows: list[list[int]], length: int) -> dict[str, np.ndarray]:
    """Rows of documents of these lengths, each opening with BOS; ids of the text are all different along a row."""
    batch = {name: np.zeros((len(rows), length), np.int32) for name in ("tokens", "segment_ids", "positions")}
    for row, documents in enumerate(rows):
        start = 0
        for number, size in enumerate(documents):
            here = (row, slice(start, start + size))
            batch["tokens"][here] = [BOS, *range(3 + row + start, 2 + row + start + size)]
            batch["segment_ids"][here] = number + 1
            batch["positions"][here] = range(size)
            start += size
    return batch | {"place": np.arange(len(rows) * length, dtype=np.int32).reshape(len(rows), length)}


BATCH = pack([[5, 2, 4], [12], [], [8]], 12)
TEXT = from_batch({name: jnp.asarray(column) for name, column in BATCH.items()})


@functools.cache
def _draw(objective, seed, sample):
    return single.build("one", objective, TEXT, IDS, jax.random.key(seed), sample=sample)


@pytest.fixture(scope="session")
def draw():
    """The inputs of an objective for this batch: draw(objective, seed, sample)."""
    return lambda objective, seed=0, sample=None: _draw(objective, seed, sample)


@pytest.fixture
def batch():
    return dict(BATCH)


@pytest.fixture
def text():
    return TEXT


@pytest.fixture
def ids():
    return IDS


@pytest.fixture(params=OBJECTIVES.values(), ids=OBJECTIVES.keys())
def objective(request):
    return request.param


@pytest.fixture(params=[name for name in OBJECTIVES if name.split()[0] not in ("span_corruption", "eso_lm")])
def in_place(request):
    """An objective that leaves every token where the text has it."""
    return OBJECTIVES[request.param]


@pytest.fixture(scope="session")
def objectives():
    return OBJECTIVES
