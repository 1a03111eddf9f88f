"""One objective on one batch of text: arrangement, layout, corruption and placement put together."""

import dataclasses
import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from hybridlm.config.errors import ConfigError, unplaced
from hybridlm.config.objective import Objective, part_names
from hybridlm.diffusion import schedules
from hybridlm.diffusion.uniform import TokenBound
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import LossInputs, Part
from hybridlm.facts.tokens import TokenFacts, concatenate, from_columns
from hybridlm.objectives import layouts
from hybridlm.objectives.arrangements import Arranged, arrange
from hybridlm.objectives.corruptions import Corrupted, Sample, corrupt
from hybridlm.objectives.text import Ids, Text

_SEES = {
    "causal": "the document to the left",
    "prefix": "the first part of the document whole, and the document to the left",
    "bidirectional": "the whole document",
    "blocks": "earlier blocks whole, and its own block",
    "random_order": "what comes before it in an order that is random at first",
}
_LESS = {
    "none": "",
    "absorbing": ", less a random set of masked tokens",
    "uniform": ", a random set of its tokens replaced at random",
    "all": ", in which every token is masked",
    "masked_lm": ", less most of the selected tokens",
}


def build(
    name: str, objective: Objective, text: Text, ids: Ids, key: Key[Array, ""], *, sample: Sample | None = None
) -> LossInputs:
    """The objective's inputs, visibility, targets and weights for a text, of width T or, with two streams, 2T.

    train_weight gives the mean loss: its sum is 1 in expectation, because it is divided by what all possible targets
    weigh on average, never by the number that happened to be masked. `sample` asks for one sample of a bound instead of
    a training draw.
    """
    if objective.builder:
        own = _imported(objective.builder)(name, objective, text, ids, key, sample=sample)
        return dataclasses.replace(own, parts=parts(name, objective))
    order_key, noise_key = jax.random.split(key)
    if sample is not None and objective.layout == "random_order":
        order_key = jax.random.fold_in(order_key, sample.number)
    arranged = arrange(objective, text, ids, order_key)
    inputs = _noisy(objective, arranged, ids, noise_key, sample)
    if objective.streams == 2:
        inputs = _side_by_side(_clean(objective, arranged, inputs.facts), inputs)
    return dataclasses.replace(
        inputs,
        mask=layouts.mask(objective),
        parts=parts(name, objective),
        loss=TokenBound(len(ids.ordinary)) if objective.corruption == "uniform" else None,
        dense=objective.corruption in ("none", "all") and objective.streams == 1 and not objective.prefix,
        first_target=0 if objective.streams == 1 or objective.has_two_losses else text.tokens_BT.shape[1],
    )


@unplaced()
def check(objective: Objective, *, is_scored: bool = False) -> None:
    """Raises `Unplaced` where what it imports is not there or no schedule, or where a score would lack a term."""
    if objective.builder:
        _imported(objective.builder)
    schedule = schedules.from_name(objective.schedule)
    if is_scored and objective.corruption == "uniform":
        schedules.check_ends(schedule, objective.schedule)


def part(name: str, objective: Objective) -> Part:
    """What the objective's per-token values mean."""
    if objective.corruption in ("masked_lm", "spans"):
        kind = ScoreKind.CONDITIONAL
    else:
        kind = ScoreKind.SHARE if objective.is_bound else ScoreKind.EXACT
    return Part(name, kind, _sees(objective))


def parts(name: str, objective: Objective) -> tuple[Part, ...]:
    """What the values of each of its losses mean: its own and, where that predicts too, the clean stream's."""
    meant = (objective, Objective(window=objective.window)) if objective.has_two_losses else (objective,)
    return tuple(map(part, part_names({name: objective}), meant))


def _sees(objective: Objective) -> str:
    if objective.across_documents:
        seen = "the row to the left"
    elif objective.corruption == "spans":
        seen = "the rest of the document, and of its spans what is to the left"
    elif objective.layout == "random_order":
        seen = _SEES["random_order"]
    else:
        seen = _SEES[objective.layout] + _LESS[objective.corruption]
    # what a layer shows is passed on by the next
    reach = ", {} tokens to the left and {} to the right a layer".format(*objective.window) if objective.window else ""
    return seen + reach


def _noisy(objective: Objective, arranged: Arranged, ids: Ids, key: Array, sample: Sample | None) -> LossInputs:
    """The stream that is corrupted, and predicted: the only one unless a clean copy is to stand beside it."""
    text, prefix_BT = arranged.text, arranged.prefix_BT
    block_BT = layouts.blocks(objective, text, prefix_BT)
    noisy = corrupt(objective, text, arranged.is_target_BT, block_BT, ids, key, sample)
    extra = {**text.columns, "prefix_length": prefix_BT}
    facts = from_columns(text.segment_BT, text.position_BT, block_BT=block_BT, extra=extra)
    return _place(objective.predicts, arranged, noisy, facts, objective.weight_per_target)


def _clean(objective: Objective, arranged: Arranged, facts: TokenFacts) -> LossInputs:
    """The clean copy beside a noisy stream of these facts; it predicts its next tokens if these have a weight."""
    predicted_BT = arranged.is_target_BT & objective.has_two_losses
    weight_BT = predicted_BT.astype(jnp.float32)
    read = Corrupted(arranged.text.tokens_BT, weight_BT, jnp.zeros_like(weight_BT), predicted_BT)
    facts = dataclasses.replace(facts, block=layouts.clean_blocks(objective, arranged.text, facts.block))
    clean = _place("next", arranged, read, facts, 1.0)
    return dataclasses.replace(
        clean,
        train_weight_BT=clean.train_weight_BT * objective.clean_weight,
        part_BX=clean.part_BX + objective.has_two_losses,
    )


def _place(predicts: str, arranged: Arranged, noisy: Corrupted, facts: TokenFacts, per_target: float) -> LossInputs:
    """Puts every target where its prediction is read; a possible target weighs `per_target` on average."""
    index_BT = jnp.where(noisy.is_counted_BT, arranged.place_BT, -1)
    targets_BT, weight_BT = jnp.where(noisy.is_counted_BT, arranged.text.tokens_BT, 0), noisy.weight_BT
    if predicts == "next":
        targets_BT, index_BT, weight_BT = _left(targets_BT, 0), _left(index_BT, -1), _left(weight_BT, 0.0)
    return LossInputs(
        inputs_BT=noisy.inputs_BT,
        facts=facts,
        targets_BT=targets_BT,
        target_index_BT=index_BT,
        train_weight_BT=weight_BT / (jnp.maximum(arranged.is_target_BT.sum(), 1) * per_target),
        score_weight_BT=weight_BT,
        noise_BT=noisy.noise_BT,
        part_BX=jnp.zeros((len(weight_BT), 1), jnp.int32),
        mask=None,
        parts=(),
    )


def _left(column_BT: Array, nothing) -> Array:
    """Moves every value one position to the left. No target crosses into another document, since BOS is never one."""
    return jnp.pad(column_BT[:, 1:], ((0, 0), (0, 1)), constant_values=nothing)


def _side_by_side(clean: LossInputs, noisy: LossInputs) -> LossInputs:
    """[clean stream | noisy stream] in one row of twice the width."""
    stream = dataclasses.replace(noisy.facts, stream=jnp.ones_like(noisy.facts.stream))
    both = jax.tree.map(lambda *halves: jnp.concatenate(halves, axis=1), clean, noisy)
    return dataclasses.replace(both, facts=concatenate([clean.facts, stream], axis=1))


def _imported(path: str) -> Callable:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"objective.builder={path!r} could not be imported ({error}); it must read 'package.module:function', and "
            "the package must be installed or stand in the current directory."
        ) from error
