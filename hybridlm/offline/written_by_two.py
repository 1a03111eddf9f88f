"""Two readings as one writer: of one run, or of two that share a tokenizer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np
from etils import epath

from hybridlm import masks
from hybridlm.combine import gates
from hybridlm.combine.refined import latency
from hybridlm.config.combination import Combination
from hybridlm.config.errors import require
from hybridlm.config.evaluation import Reading, check_experts
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import Objective
from hybridlm.config.sampling import SamplingConfig
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.evaluation import combined, fitted
from hybridlm.evaluation.joined import histogram
from hybridlm.offline import beside, networks
from hybridlm.offline.named_readings import named
from hybridlm.offline.opened import Opened, open_model
from hybridlm.sampling import pair, samplers
from hybridlm.sampling.blocks import Sizes
from hybridlm.sampling.experts import BlockChain, Expert, NextToken
from hybridlm.sampling.pair import Networks, State
from hybridlm.sampling.streaming import Writer
from hybridlm.storage import workdir

if TYPE_CHECKING:
    from hybridlm.offline.generate import Text


def check(config: SamplingConfig, own: Experiment, tokenizer: Tokenizer) -> None:
    """Refuses what a model and those beside it cannot write; no weights need be there."""
    combination = config.combination
    samplers.check_read(config, ())
    require(
        not fitted.is_open(combination),
        f"combination {str(combination)!r} has numbers that are fitted on held-out text first; `hybridlm evaluate "
        "--combine=NAME=CALL --config.evaluation.split=test` fits them and prints the call to be given here.",
    )
    gates.gate(combination.gate)  # one's own is tried
    readings = {name: named(own, name) for name in combination.experts}
    beside.check(readings, own.data.row_length, tokenizer)
    check_experts("the combination", combination, readings)
    for name, reading in readings.items():
        run = workdir.read_config(epath.Path(reading.network)) if reading.network else own
        _check_writes(name, reading, run.objectives)


def writer(opened: Opened, config: SamplingConfig) -> tuple[Writer, Networks]:
    """The combination of a config, which was checked, as a writer, and the networks that it writes with."""
    combination = config.combination
    readings = {name: named(opened.experiment, name) for name in combination.experts}
    others = {reading.network for reading in readings.values()} - {""}
    runs = {"": opened} | {run: open_model(run, overrides={}) for run in others}
    experts = {name: combined.Expert(runs[one.network].task, one) for name, one in readings.items()}
    combined.check(combination, experts)
    first, second = (expert(one, runs[one.network]) for one in readings.values())
    found = {run: networks.of_opened(one) for run, one in runs.items()}
    frequencies = jax.device_put(combined.frequencies(opened.task, combination), jax.devices()[0])
    about = {"tokens": config.tokens, "chunk": config.chunk, "eos": opened.tokenizer.eos}
    return (
        pair.writer((first, second), combination, config.choice, **about),
        Networks(*(found[one.network] for one in readings.values()), frequencies),
    )


def _check_writes(name: str, reading: Reading, objectives: Mapping[str, Objective]) -> None:
    """Refuses a reading that sees more than the text so far, or that nobody trained."""
    require(
        _is_chain(reading) or reading.objective.is_autoregressive,
        f"expert {name!r} cannot write: text comes from left to right, so an expert sees the text so far and nothing "
        "of what follows, not even how much. Take a reading of next tokens (ar) or a chain of blocks (block:chain).",
    )
    kind = samplers.SAMPLERS["block_diffusion" if _is_chain(reading) else "autoregressive"]
    require(
        kind.fits(objectives),
        f"expert {name!r} needs a model trained {kind.needs}, but this one's objectives are {', '.join(objectives)}; "
        "name another reading, or another run behind @.",
    )


def _is_chain(reading: Reading) -> bool:
    """Is it a chain of blocks, each from left to right?"""
    return (reading.estimator, reading.order, reading.objective.layout) == ("chain", "left_to_right", "blocks")


def expert(reading: Reading, opened: Opened) -> Expert:
    """A reading as an expert that writes."""
    trained, objective = networks.trained(opened), reading.objective
    if not _is_chain(reading):
        return NextToken(trained.joined(masks.causal()))
    sizes = Sizes(objective.block_size, 1 if objective.clean_causal else objective.block_size)
    return BlockChain(sizes, trained.joined(masks.block_diffusion(), objective.window), trained.mask_id)


def tell(state: State, texts: Sequence["Text"]) -> None:
    """Writes beside every text what was recorded of its tokens."""
    for text, share_N, nats_N in zip(texts, np.asarray(state.share_BN), np.asarray(state.nats_BN), strict=True):
        text.shares, text.nats = (values_N[: len(text.ids)].tolist() for values_N in (share_N, nats_N))


def summary(combination: Combination, texts: Sequence["Text"]) -> str:
    """The first expert's share of what was written, its cost and, of a refiner, how often the second was needed."""
    share_N, nats_N = (np.concatenate([getattr(text, name) for text in texts]) for name in ("shares", "nats"))
    line = f"share of {combination.experts[0]}: {share_N.mean():.2f}; {nats_N.mean():.3f} nats a token by both"
    if combination.gate != "refine":
        return line
    most = max(len(text.ids) for text in texts)
    share_RS = np.array([text.shares + [1.0] * (most - len(text.ids)) for text in texts])
    is_written_RS = np.array([[True] * len(text.ids) + [False] * (most - len(text.ids)) for text in texts])
    return f"{line}\nrefined: {histogram(latency(share_RS, is_written_RS))}"
