"""What samplers are compared on: a trained run or random weights, the samplers that fit it, and what they continue."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from benchmarks.generate import SHAPES
from hybridlm.config.combination import average, refiner
from hybridlm.config.objective import autoregressive, block_diffusion, eso_lm, masked_diffusion
from hybridlm.config.sampling import COMBINED, SamplingConfig
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.models import decoder
from hybridlm.offline import networks
from hybridlm.offline.opened import Opened, open_model
from hybridlm.sampling import samplers
from hybridlm.sampling.network import Network
from hybridlm.sampling.samplers import Trained
from hybridlm.sampling.written import NO_EOS

PROMPTS = {
    "python": 'def add(a, b):\n    """Returns the sum of two numbers."""\n',
    "sql": "SELECT name, price FROM products",
    "yaml": "name: build\non:\n  push:\n",
    "json": '{"name": "example", "version": ',
}


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is timed. Attributes: size: ids that prompts are drawn from. opened: the run; None for random weights."""

    network: Network
    trained: Trained
    size: int
    opened: Opened | None = None

    @property
    def tokenizer(self) -> Tokenizer | None:
        return self.opened and self.opened.tokenizer


def random_weights(preset: str, block_size: int) -> Subject:
    """A network that knows every objective, and nothing else."""
    config, size = SHAPES[preset]
    params = jax.jit(functools.partial(decoder.init, config, size))(jax.random.key(0))
    objectives = {
        "ar": autoregressive(),
        "masked": masked_diffusion(),
        "block": block_diffusion(block_size),
        "eso": eso_lm(),
    }
    trained = Trained(objectives=objectives, mask_id=size - 1, eos=NO_EOS, size=size, never=(size - 1,))
    return Subject(networks.of_decoder(config, size, params, never_ids=(size - 1,)), trained, size - 1)


def from_workdir(path: str) -> Subject:
    """The newest checkpoint of a run, which never ends a text."""
    opened = open_model(path, overrides={})
    ids = opened.task.ids
    never = tuple(sorted({*ids.never, opened.tokenizer.eos}))
    opened = dataclasses.replace(
        opened, task=dataclasses.replace(opened.task, ids=dataclasses.replace(ids, never=never))
    )
    return Subject(networks.of_opened(opened), networks.trained(opened), opened.task.vocab_size, opened)


def contenders(subject: Subject, tokens: int) -> dict[str, SamplingConfig]:
    """What is compared, of all that fits the model."""
    block = max((objective.block_size for objective in subject.trained.objectives.values()), default=0)
    half, quarter = -(-tokens // 2), -(-tokens // 4)
    masked, blocks = {"sampler": "masked_diffusion"}, {"sampler": "block_diffusion", "chunk": tokens}
    asked = {
        "masked, confidence, 1/4 steps": {**masked, "order": "confidence", "steps": quarter},
        "masked, ancestral, 1/2 steps": {**masked, "order": "time", "steps": half},
        "masked, remasking, 1/2 steps": {**masked, "order": "time", "steps": half, "remask": 0.1},
        "masked, entropy bound 0.5": {**masked, "order": "entropy", "bound": 0.5},
        "masked, first hitting": masked,
        "uniform, 1/2 steps": {"sampler": "uniform_diffusion", "steps": half},
        "block, confidence, 1/4 steps": {**blocks, "order": "confidence", "steps": -(-block // 4) or None},
        "block, confidence 0.9": {**blocks, "order": "confidence", "threshold": 0.9},
        "block, first hitting": blocks,
        "Eso-LM, 1/4 steps": {"sampler": "eso_lm", "steps": quarter},
        "Eso-LM": {"sampler": "eso_lm"},
        "speculative": {"sampler": "speculative", "chunk": 64},
        "autoregressive": {"sampler": "autoregressive", "chunk": 64},
    }
    fits = {name for name, kind in samplers.SAMPLERS.items() if kind.fits(subject.trained.objectives)}
    asked = {name: values for name, values in asked.items() if values["sampler"] in fits}
    return {name: SamplingConfig(tokens=tokens, **values) for name, values in (asked | _joined(subject, fits)).items()}


def _joined(subject: Subject, fits: set[str]) -> dict[str, dict[str, Any]]:
    """Both sides of a model that has an autoregressive and a block-diffusion one."""
    if subject.opened is None or not {"autoregressive", "block_diffusion"} <= fits:
        return {}
    objectives = subject.trained.objectives.items()
    blocks = next(name for name, objective in objectives if samplers.is_denoising_blocks(objective))
    both = {"experts": ("ar", f"{blocks}:chain")}
    joined = {"average of both": average(**both), "refiner below 0.9": refiner(0.9, **both)}
    return {name: {"sampler": COMBINED, "combination": one, "chunk": 64} for name, one in joined.items()}


def prompts_for(subject: Subject, rows: int, length: int) -> list[list[int]]:
    """Beginnings of texts, in turn; for random weights so many random ids."""
    if subject.tokenizer is None:
        return np.random.default_rng(0).integers(3, subject.size, (rows, length)).tolist()
    found = subject.tokenizer.encode_batch(list(PROMPTS.values()))
    encoded = [[subject.tokenizer.bos, *map(int, ids)] for ids in found]
    return [encoded[row % len(encoded)] for row in range(rows)]
