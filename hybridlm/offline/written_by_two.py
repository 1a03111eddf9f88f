"""Two readings as one writer: of one run, or of two that share a tokenizer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from hybridlm import masks
from hybridlm.combine.refined import latency
from hybridlm.config.combination import Combination
from hybridlm.config.errors import require
from hybridlm.config.evaluation import Reading
from hybridlm.config.sampling import SamplingConfig
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

if TYPE_CHECKING:
    from hybridlm.offline.generate import Text


def writer(opened: Opened, config: SamplingConfig) -> tuple[Writer, Networks]:
    """The combination of a config as a writer, and the networks that it writes with."""
    combination, own = config.combination, opened.experiment
    samplers.check_read(config, ())
    require(
        not fitted.is_open(combination),
        f"combination {str(combination)!r} has numbers that are fitted on held-out text first; `hybridlm evaluate "
        "--combine=NAME=CALL --config.evaluation.split=test` fits them and prints the call to be given here.",
    )
    readings = {name: named(own, name) for name in combination.experts}
    beside.found(readings, own.data.row_length, opened.task, opened.tokenizer)
    others = {reading.network for reading in readings.values()} - {""}
    runs = {"": opened} | {run: open_model(run, overrides={}) for run in others}
    experts = {name: combined.Expert(runs[one.network].task, one) for name, one in readings.items()}
    combined.check(combination, experts)
    first, second = (expert(name, one, runs[one.network]) for name, one in readings.items())
    found = {run: networks.of_opened(one) for run, one in runs.items()}
    frequencies = jax.device_put(combined.frequencies(opened.task, combination), jax.devices()[0])
    about = {"tokens": config.tokens, "chunk": config.chunk, "eos": opened.tokenizer.eos}
    return (
        pair.writer((first, second), combination, config.choice, **about),
        Networks(*(found[one.network] for one in readings.values()), frequencies),
    )


def expert(name: str, reading: Reading, opened: Opened) -> Expert:
    """A reading that sees nothing but the text so far, as an expert that writes; others are refused."""
    trained, objective = networks.trained(opened), reading.objective
    is_chain = reading.estimator == "chain" and reading.order == "left_to_right" and objective.layout == "blocks"
    require(
        is_chain or objective.is_autoregressive,
        f"expert {name!r} cannot write: text comes from left to right, so an expert sees the text so far and nothing "
        "of what follows, not even how much. Take a reading of next tokens (ar) or a chain of blocks (block:chain).",
    )
    kind = samplers.SAMPLERS["block_diffusion" if is_chain else "autoregressive"]
    require(
        kind.fits(trained.objectives),
        f"expert {name!r} needs a model trained {kind.needs}, but this one's objectives are "
        f"{', '.join(trained.objectives)}; name another reading, or another run behind @.",
    )
    if not is_chain:
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
