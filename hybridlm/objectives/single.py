"""One objective on one batch of text: layout, corruption and placement put together."""

import dataclasses
import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import Objective
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import LossInputs, Part
from hybridlm.facts.tokens import TokenFacts, concatenate, from_columns
from hybridlm.objectives import layouts
from hybridlm.objectives.corruptions import Corrupted, Sample, corrupt
from hybridlm.objectives.text import Ids, Text

_SEES = {
    "causal": "the document to the left",
    "prefix": "the first part of the document whole, and the document to the left",
    "bidirectional": "the whole document",
    "blocks": "earlier blocks whole, and its own block",
}
_LESS = {
    "none": "",
    "absorbing": ", less a random set of masked tokens",
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
        return dataclasses.replace(own, parts=(part(name, objective),))
    prefix_key, noise_key = jax.random.split(key)
    prefix_BT = layouts.prefix_lengths(objective, text, prefix_key)
    block_BT = layouts.blocks(objective, text, prefix_BT)
    is_target_BT = text.is_target_BT & (text.position_BT >= prefix_BT)
    noisy = corrupt(objective, text, is_target_BT, block_BT, ids, noise_key, sample)
    facts = from_columns(
        text.segment_BT, text.position_BT, block_BT=block_BT, extra={**text.columns, "prefix_length": prefix_BT}
    )
    expected = jnp.maximum(is_target_BT.sum(), 1) * objective.weight_per_target
    inputs = _place(objective, text, noisy, facts, expected)
    inputs = dataclasses.replace(inputs, mask=layouts.mask(objective), parts=(part(name, objective),))
    return _beside_clean(inputs, text) if objective.streams == 2 else inputs


def part(name: str, objective: Objective) -> Part:
    """What the objective's per-token values mean."""
    if objective.corruption == "masked_lm":
        kind = ScoreKind.CONDITIONAL
    else:
        kind = ScoreKind.SHARE if objective.is_bound else ScoreKind.EXACT
    sees = "the row to the left" if objective.across_documents else _SEES[objective.layout]
    return Part(name, kind, sees + _LESS[objective.corruption])


def _place(objective: Objective, text: Text, noisy: Corrupted, facts: TokenFacts, expected: Array) -> LossInputs:
    """Puts every target where its prediction is read."""
    index_BT = jnp.arange(text.tokens_BT.size, dtype=jnp.int32).reshape(text.tokens_BT.shape)
    index_BT = jnp.where(noisy.is_counted_BT, index_BT, -1)
    targets_BT, weight_BT = jnp.where(noisy.is_counted_BT, text.tokens_BT, 0), noisy.weight_BT
    if objective.predicts == "next":
        targets_BT, index_BT, weight_BT = _left(targets_BT, 0), _left(index_BT, -1), _left(weight_BT, 0.0)
    return LossInputs(
        inputs_BT=noisy.inputs_BT,
        facts=facts,
        targets_BT=targets_BT,
        target_index_BT=index_BT,
        train_weight_BT=weight_BT / expected,
        score_weight_BT=weight_BT,
        noise_BT=noisy.noise_BT,
        part_B=jnp.zeros(text.tokens_BT.shape[0], jnp.int32),
        mask=None,
        parts=(),
        dense=objective.corruption in ("none", "all") and not objective.prefix,
    )


def _left(column_BT: Array, nothing) -> Array:
    """Moves every value one position to the left. No target crosses into another document, since BOS is never one."""
    return jnp.pad(column_BT[:, 1:], ((0, 0), (0, 1)), constant_values=nothing)


def _beside_clean(noisy: LossInputs, text: Text) -> LossInputs:
    """[clean stream | noisy stream] in one row of twice the width; only the noisy one predicts."""
    stream = dataclasses.replace(noisy.facts, stream=jnp.ones_like(noisy.facts.stream))

    def widen(column_BT, nothing):
        return jnp.concatenate([jnp.full_like(column_BT, nothing), column_BT], axis=1)

    return dataclasses.replace(
        noisy,
        inputs_BT=jnp.concatenate([text.tokens_BT, noisy.inputs_BT], axis=1),
        facts=concatenate([noisy.facts, stream], axis=1),
        targets_BT=widen(noisy.targets_BT, 0),
        target_index_BT=widen(noisy.target_index_BT, -1),
        train_weight_BT=widen(noisy.train_weight_BT, 0.0),
        score_weight_BT=widen(noisy.score_weight_BT, 0.0),
        noise_BT=widen(noisy.noise_BT, 0.0),
        dense=False,
    )


def _imported(path: str) -> Callable:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"objective.builder={path!r} could not be imported ({error}); it must read 'package.module:function', and "
            "the package must be installed or stand in the current directory."
        ) from error
