"""Every sampler by name: what a model must have been trained for, and how to make it write."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping

from hybridlm import masks
from hybridlm.config.errors import require
from hybridlm.config.objective import Objective
from hybridlm.config.sampling import COMBINED, SamplingConfig
from hybridlm.masks import Mask
from hybridlm.sampling import autoregressive, denoisers, random_order, speculative
from hybridlm.sampling.blocks import Sizes
from hybridlm.sampling.drafts import BlockDraft
from hybridlm.sampling.streaming import Writer

OF_STEPS = ("steps", "order", "threshold", "bound", "remask")
SETTINGS = {
    field.name: field.default for field in dataclasses.fields(SamplingConfig) if field.name in (*OF_STEPS, "block_size")
}
"""What only some samplers read, with what it is where nobody set it."""
DRAFT = 8
"""Tokens per draft where training knew no blocks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """What a sampler needs to know of a model beside its network.

    Attributes:
      objectives: what it was trained to predict, by name. mask: its own mask, joined with what is shown, or None.
      mask_id: of the mask token. eos: of the token that ends a text, `NO_EOS` for none.
      size: of the vocabulary. never: ids that are never written.
    """

    objectives: Mapping[str, Objective]
    mask: Mask | None = None
    mask_id: int
    eos: int
    size: int = 0
    never: tuple[int, ...] = ()

    def joined(self, mask: Mask, window: tuple[int, ...] = ()) -> Mask:
        """A mask in the window of an objective and within a document, with the model's own."""
        mask = mask & masks.window(*window) if window else mask
        mask = mask & masks.same_segment() & masks.valid()
        return mask if self.mask is None else mask & self.mask

    def first(self, kind: Callable[[Objective], bool]) -> Objective:
        """The first objective of a kind."""
        return next(filter(kind, self.objectives.values()))


@dataclasses.dataclass(frozen=True)
class Kind:
    """Attributes:
    needs: what a model must have learned, to end the sentence "it needs a model trained ...".
    fits: whether its objectives taught it that. build: the sampler, as a writer.
    reads: what it reads of a `SamplingConfig` that not all do. records: whether it can keep its steps.
    """

    needs: str
    fits: Callable[[Mapping[str, Objective]], bool]
    build: Callable[[SamplingConfig, Trained], Writer]
    reads: tuple[str, ...] = ()
    records: bool = False


def make(config: SamplingConfig, trained: Trained) -> Writer:
    """The sampler asked for; refused where the model has not learned what it needs."""
    check(config, trained.objectives)
    return SAMPLERS[config.sampler].build(config, trained)


def check(config: SamplingConfig, objectives: Mapping[str, Objective]) -> None:
    """Refuses a sampler that needs what these objectives do not teach, or that does not read what is set."""
    kind = SAMPLERS[config.sampler]
    fitting = _fitting(objectives)
    require(
        kind.fits(objectives),
        f"sampler {config.sampler!r} needs a model trained {kind.needs}, but this one was trained on "
        f"{', '.join(map(_described, objectives.values()))}. "
        + (f"Samplers for it: {', '.join(fitting)}." if fitting else "No sampler fits it."),
    )
    require(
        kind.records or not config.record,
        f"sampler {config.sampler!r} writes no token twice, so there are no steps to look at; a picture is made of "
        f"{', '.join(name for name, other in SAMPLERS.items() if other.records)}.",
    )
    check_read(config, kind.reads)


def _fitting(objectives: Mapping[str, Objective]) -> list[str]:
    """The samplers for a model; what writes from left to right may also be one of two experts."""
    names = [name for name, kind in SAMPLERS.items() if kind.fits(objectives)]
    return names + [COMBINED] * bool({"autoregressive", "block_diffusion"} & {*names})


def check_read(config: SamplingConfig, reads: Collection[str]) -> None:
    """Refuses one of `SETTINGS` that the sampler, which reads these alone, would pass over in silence."""
    unread = [name for name in SETTINGS if name not in reads and getattr(config, name) != SETTINGS[name]]
    require(
        not unread,
        f"{', '.join(f'{name}={getattr(config, name)!r}' for name in unread)} says nothing to sampler "
        f"{config.sampler!r}, which {'reads ' + ', '.join(reads) if reads else 'has no such choice'}; leave it out, or "
        f"take one of {', '.join(name for name, kind in SAMPLERS.items() if {*unread} <= {*kind.reads})}.",
    )


def denoising_blocks(config: SamplingConfig, trained: Trained) -> Objective | None:
    """The objective that taught blocks of the size asked for, or of the smallest; None where none taught any.

    Raises ConfigError where the size is none of training.
    """
    learned = {one.block_size: one for one in reversed(trained.objectives.values()) if is_denoising_blocks(one)}
    require(
        config.block_size in (0, *learned) or not learned,
        f"block_size={config.block_size} is not that of training, {' or '.join(map(str, sorted(learned)))}: the "
        "network has only seen noise in blocks of that size. Leave it out.",
    )
    return learned[config.block_size or min(learned)] if learned else None


def is_next_token(objective: Objective) -> bool:
    """Does it predict each token from clean ones before it, or does a clean stream beside its noise?"""
    is_plain = objective.corruption == "none" and objective.layout in ("causal", "prefix")
    return is_plain or objective.clean_weight > 0


def is_denoising(objective: Objective) -> bool:
    """Does it predict masked tokens at their own places?"""
    return objective.corruption in ("absorbing", "all") and objective.predicts == "same"


def _next_token_mask(trained: Trained) -> Mask:
    """What a next token was predicted from: the text to its left, of a prompt perhaps the whole."""
    learned = [objective for objective in trained.objectives.values() if is_next_token(objective)]
    learned = sorted(learned, key=lambda objective: objective.layout == "prefix")[0]
    mask = masks.causal() | masks.prefix() if learned.layout == "prefix" else masks.causal()
    return trained.joined(mask, learned.window)


def _autoregressive(config: SamplingConfig, trained: Trained) -> Writer:
    mask, chunks = _next_token_mask(trained), -(-config.tokens // config.chunk)
    steps = -(-config.tokens // chunks)
    start = functools.partial(autoregressive.start, tokens=config.tokens, mask=mask)
    about = {"mask": mask, "choice": config.choice, "eos": trained.eos, "steps": steps}
    return Writer(start, functools.partial(autoregressive.advance, **about))


def _speculative(config: SamplingConfig, trained: Trained) -> Writer:
    mask, learned = _next_token_mask(trained), denoising_blocks(config, trained) or trained.first(is_denoising)
    size = learned.block_size or config.block_size or DRAFT
    two_streams = trained.joined(masks.block_diffusion(), learned.window)
    draft = BlockDraft(block_size=size, mask_id=trained.mask_id, mask=two_streams, choice=config.choice)
    start = functools.partial(speculative.start, tokens=config.tokens, room=size + 1, mask=mask)
    about = {"draft": draft, "mask": mask, "choice": config.choice, "eos": trained.eos}
    drafts = max(config.chunk // (size + 1), 1)
    return Writer(start, functools.partial(speculative.advance, **about, drafts=drafts))


def is_denoising_texts(corruption: str) -> Callable[[Objective], bool]:
    """Does an objective predict tokens of whole texts that were masked, or made uniform noise?"""
    return lambda objective: objective.layout == "bidirectional" and objective.corruption == corruption


def is_denoising_blocks(objective: Objective) -> bool:
    """Does it predict masked tokens of a block from the clean ones before it?"""
    return is_denoising(objective) and objective.layout == "blocks"


def _denoising_texts(corruption: str, config: SamplingConfig, trained: Trained) -> Writer:
    learned = trained.first(is_denoising_texts(corruption))
    sampler = denoisers.denoiser(config, learned, config.tokens, size=trained.size, never=trained.never)
    mask = trained.joined(masks.bidirectional(), learned.window)
    about = {"mask": mask, "mask_id": trained.mask_id, "eos": trained.eos}
    return denoisers.whole(sampler, config, predicts=learned.predicts, **about)


def _denoising_blocks(config: SamplingConfig, trained: Trained) -> Writer:
    learned = denoising_blocks(config, trained)
    size = learned.block_size
    sampler = denoisers.denoiser(config, learned, size)
    mask = trained.joined(masks.block_diffusion(), learned.window)
    about = {"mask": mask, "mask_id": trained.mask_id, "eos": trained.eos}
    return denoisers.in_blocks(sampler, config, sizes=Sizes(size, 1 if learned.clean_causal else size), **about)


def is_in_random_order(objective: Objective) -> bool:
    """Does it predict tokens from those before them in a random order?"""
    return objective.layout == "random_order"


def _eso_lm(config: SamplingConfig, trained: Trained) -> Writer:
    alpha_0 = trained.first(is_in_random_order).alpha_0
    about = {
        "plan": random_order.planned(config.tokens, alpha_0, config.steps),
        "mask": trained.joined(masks.block_diffusion()),
    }
    given = {"choice": config.choice, "mask_id": trained.mask_id, "eos": trained.eos}
    start = functools.partial(random_order.start, **about)
    return Writer(start, functools.partial(random_order.advance, **about, **given))


def _taught(*kinds: Callable[[Objective], bool]) -> Callable[[Mapping[str, Objective]], bool]:
    """Is there an objective of every kind?"""
    return lambda objectives: all(any(map(kind, objectives.values())) for kind in kinds)


def _described(objective: Objective) -> str:
    return f"layout={objective.layout!r} with corruption={objective.corruption!r}"


SAMPLERS: dict[str, Kind] = {
    "autoregressive": Kind(
        needs="to predict the next token",
        fits=_taught(is_next_token),
        build=_autoregressive,
    ),
    "speculative": Kind(
        needs="to predict the next token and to denoise masked ones",
        fits=_taught(is_next_token, is_denoising),
        build=_speculative,
        reads=("block_size",),
    ),
    "masked_diffusion": Kind(
        needs="to denoise masked tokens of whole texts",
        fits=_taught(is_denoising_texts("absorbing")),
        build=functools.partial(_denoising_texts, "absorbing"),
        reads=OF_STEPS,
        records=True,
    ),
    "uniform_diffusion": Kind(
        needs="to denoise whole texts of uniform noise",
        fits=_taught(is_denoising_texts("uniform")),
        build=functools.partial(_denoising_texts, "uniform"),
        reads=("steps",),
        records=True,
    ),
    "block_diffusion": Kind(
        needs="to denoise masked tokens block by block",
        fits=_taught(is_denoising_blocks),
        build=_denoising_blocks,
        reads=(*OF_STEPS, "block_size"),
        records=True,
    ),
    "eso_lm": Kind(
        needs="to predict tokens in random order",
        fits=_taught(is_in_random_order),
        build=_eso_lm,
        reads=("steps",),
    ),
}
"""By the name that `--sampler` takes; `config.sampling.SAMPLERS` has the names."""
