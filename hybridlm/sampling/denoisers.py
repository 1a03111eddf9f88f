"""From a config and what a model learned to a diffusion sampler, and from that to a writer."""

import functools

from hybridlm.config.errors import require
from hybridlm.config.objective import Objective
from hybridlm.config.sampling import BY_TIME, SamplingConfig
from hybridlm.diffusion import schedules
from hybridlm.masks import Mask
from hybridlm.sampling import diffusing
from hybridlm.sampling.blocks import Sizes
from hybridlm.sampling.denoise import Sampler
from hybridlm.sampling.masked import Ancestral, Ordered
from hybridlm.sampling.remask import Remask
from hybridlm.sampling.streaming import Writer
from hybridlm.sampling.uniform_state import UniformState


def denoiser(
    config: SamplingConfig, objective: Objective, tokens: int, *, size: int = 0, never: tuple[int, ...] = ()
) -> Sampler:
    """A sampler that writes so many tokens at once; `size` and `never` describe the vocabulary of uniform noise."""
    _check_order(config)
    is_at_once = objective.corruption == "all"
    steps, choice = config.steps or (1 if is_at_once else tokens), config.choice
    require(
        steps == 1 or not is_at_once,
        f"steps={steps} shows the network blocks of which some is written, and corruption='all' trained it on wholly "
        "masked ones alone; leave steps out, which writes each block at once.",
    )
    if objective.corruption == "uniform":
        schedule = schedules.from_name(objective.schedule)
        return UniformState(steps=steps, schedule=schedule, size=size, never=never, choice=choice)
    if config.order == BY_TIME:
        remask = Remask(kind="rescale", eta=config.remask)
        return Ancestral(steps=steps, schedule=schedules.from_name(objective.schedule), choice=choice, remask=remask)
    return Ordered(
        steps=min(steps, tokens),
        order=config.order,
        choice=choice,
        threshold=config.threshold,
        bound=config.bound,
    )


def _check_order(config: SamplingConfig) -> None:
    """Refuses settings that another order reads."""
    by_time = config.order == BY_TIME
    require(
        by_time or not config.remask,
        f"remask={config.remask} masks again as time runs backwards, so it goes with order='time'; order is "
        f"{config.order!r}.",
    )
    require(
        not by_time or not (config.threshold or config.bound),
        f"threshold={config.threshold} and bound={config.bound} go with order='confidence' and order='entropy'; by "
        "time, chance decides how many tokens are written at once.",
    )


def whole(sampler: Sampler, config: SamplingConfig, *, mask: Mask, predicts: str, mask_id: int, eos: int) -> Writer:
    """Writes all tokens at once."""
    start = functools.partial(diffusing.start, tokens=config.tokens, mask_id=mask_id)
    about = {"sampler": sampler, "mask": mask, "predicts": predicts, "eos": eos, "record": config.record}
    return Writer(start, functools.partial(diffusing.advance, **about), diffusing.trace)


def in_blocks(sampler: Sampler, config: SamplingConfig, *, mask: Mask, sizes: Sizes, mask_id: int, eos: int) -> Writer:
    """Writes block by block."""
    about = {"sampler": sampler, "mask": mask, "sizes": sizes}
    start = functools.partial(
        diffusing.start_blocks, **about, tokens=config.tokens, mask_id=mask_id, record=config.record
    )
    many = max(config.chunk // sizes.noisy, 1)
    return Writer(start, functools.partial(diffusing.advance_blocks, **about, eos=eos, many=many), diffusing.trace)
