"""Two readings of a text as one: of one network or of two, each with parameters of its own.

Experts are aligned on the token that both predict. Where each sees nothing but text before that token, the combination
is a model from left to right and its scores are exact; elsewhere they are conditional, and never shown as likelihoods.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hybridlm.combine.combined import Frequencies, check_vocabularies, combined
from hybridlm.combine.oracle import NotAModel, oracle_switch
from hybridlm.config.combination import Combination
from hybridlm.config.errors import nearest, require
from hybridlm.config.evaluation import Reading, check_experts
from hybridlm.evaluation import predictions
from hybridlm.evaluation.predictions import Network, Prediction
from hybridlm.evaluation.task import Batch, Task
from hybridlm.facts.head import Head
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import Part
from hybridlm.masks import Mask
from hybridlm.objectives import single
from hybridlm.objectives.text import from_batch
from hybridlm.scoring.chunks import anywhere
from hybridlm.scoring.combined import CombinedScores, combined_scores
from hybridlm.scoring.layout import Layout
from hybridlm.scoring.sums import category_sums


@dataclasses.dataclass(frozen=True, eq=False)
class Expert:
    """A network and how it is read. `also` is a user's own mask, joined by &."""

    task: Task
    reading: Reading
    also: Mask | None = None


@no_type_check  # trees of its shapes exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """Attributes: scores: of every token of the text. is_counted_RS: which tokens both experts predict."""

    scores: CombinedScores
    is_counted_RS: Bool[Array, "R S"]

    @property
    def oracle(self) -> NotAModel:
        """What the best switch between the two would cost; it reads the answer, and is no model."""
        return oracle_switch(self.scores.expert_nll[..., 0], self.scores.expert_nll[..., 1])


def part(name: str, combination: Combination, readings: Mapping[str, Reading]) -> Part:
    """What the values of a combination mean: exact if both experts see nothing but text to the left of their token."""
    check_experts(f"combination {name!r}" if name else "the combination", combination, readings)
    is_exact = all(_sees_left_alone(readings[expert]) for expert in combination.experts)
    kind = ScoreKind.EXACT if is_exact else ScoreKind.CONDITIONAL
    return Part(name, kind, f"what {combination.experts[0]} and what {combination.experts[1]} sees")


def _sees_left_alone(reading: Reading) -> bool:
    """Does every prediction read some of the tokens before its own, and none after?"""
    if reading.estimator == "chain":
        return reading.order == "left_to_right"
    return reading.estimator == "objective" and single.part("", reading.objective).kind == ScoreKind.EXACT


def frequencies(task: Task, combination: Combination) -> Frequencies:
    """Log frequency and band of every id of the padded vocabulary, as a combination reads them."""
    calibration, size = combination.calibration, task.model.padded_vocab(task.vocab_size)
    require(
        task.has_counts or not (calibration.adjustment or combination.gate in ("expected_frequency", "learned")),
        f"combination.gate={combination.gate!r} with adjustment={calibration.adjustment} reads training frequencies, "
        "and this model's are unknown; use another gate, or a model trained on prepared rows.",
    )
    padding = size - task.vocab_size
    return Frequencies(
        log_V=jnp.asarray(np.pad(task.log_unigram_V, (0, padding), mode="minimum"), jnp.float32),
        band_V=jnp.asarray(np.pad(bands(task, combination)[0], (0, padding))),
    )


def bands(task: Task, combination: Combination) -> tuple[Int[np.ndarray, "V"], int]:
    """The band of every id, and how many bands there are; one band where none are asked for."""
    calibration, known = combination.calibration, task.tables.families[: task.tables.by_token_VF.shape[1]]
    if not calibration.bands:
        return np.zeros(task.vocab_size, np.int32), 1
    names = [family.name for family in known]
    require(
        calibration.bands in names,
        f"calibration.bands={calibration.bands!r} is no family of categories by vocabulary id"
        f"{nearest(calibration.bands, names)}",
    )
    number = names.index(calibration.bands)
    count = len(known[number].labels)
    require(
        len(calibration.slopes) in (0, count),
        f"calibration.slopes has {len(calibration.slopes)} numbers, and {calibration.bands!r} has {count} labels; were "
        "they fitted with another version of the family?",
    )
    return np.asarray(task.tables.by_token_VF[:, number], np.int32), count


def told(
    combination: Combination,
    found: Mapping[str, Prediction],
    heads: Mapping[str, Head],
    tokens_RS: Int[Array, "R S"],
    known: Frequencies,
    **spread: Any,
) -> Told:
    """The scores of a combination from its experts' predictions and heads by name; `spread` as `combined_scores`."""
    first, second = (found[name] for name in combination.experts)
    is_counted_RS = first.is_counted_RS & second.is_counted_RS
    scores = combined_scores(
        (first.hidden_RSD, second.hidden_RSD),
        [heads[name] for name in combination.experts],
        tokens_RS,
        functools.partial(combined, combination, frequencies=known),
        is_counted_RS,
        **spread,
    )
    return Told(scores=scores, is_counted_RS=is_counted_RS)


def scorer(
    combination: Combination,
    experts: Mapping[str, Expert],
    *,
    layout: Layout | None = None,
    groups: int = 1,
    constrain: Callable = anywhere,
) -> Callable[[Mapping[str, Any], Batch, int], Told]:
    """(parameters by expert, batch, batch number) -> `Told`, compiled. Two readings of one network are given the same
    parameters twice, which takes no more memory."""
    check(combination, experts)
    known = frequencies(experts[combination.experts[0]].task, combination)
    spread = {"groups": groups, "constrain": constrain}

    @jax.jit
    def score(params, batch, known, number):
        found, heads = predict(combination, experts, params, batch, number, **spread)
        return told(combination, found, heads, batch["tokens"], known, layout=layout, **spread)

    return lambda params, batch, number: score(params, batch, known, number)


def predict(
    combination: Combination,
    experts: Mapping[str, Expert],
    params: Mapping[str, Any],
    batch: Batch,
    number: int | Array,
    **spread: Any,
) -> tuple[dict[str, Prediction], dict[str, Head]]:
    """What each expert says of the text of a batch, and its head, by name."""
    text, found, heads = from_batch(batch), {}, {}
    for name in combination.experts:
        expert = experts[name]
        network = Network(expert.task, params[name], expert.also, **spread)
        key = jax.random.fold_in(jax.random.key(0), number)
        found[name] = predictions.of_reading(network, name, expert.reading, text, expert.task.tables, key)
        heads[name] = network.head
    return found, heads


def share_sums(
    found: Told, labels_MRS: Int[Array, "M R S"], categories: int
) -> tuple[Float[Array, "C"], Int[Array, "C"]]:
    """Sums of the first expert's share by category, and numbers of tokens; batches add up."""
    one_R = jnp.zeros(len(found.is_counted_RS), jnp.int32)
    sums = category_sums(labels_MRS, one_R, found.scores.share, found.is_counted_RS, parts=1, categories=categories)
    return sums.total_PC[0], sums.count_PC[0]


def share_lines(
    names: Sequence[tuple[str, str]], total_C: Float[np.ndarray, "C"], count_C: Int[np.ndarray, "C"]
) -> list[str]:
    """A line for every category that has tokens: its family and label, the first expert's mean share, the tokens."""
    return [
        f"{family:<20} {label:<24} {total / count:6.3f} {count:>12,}"
        for (family, label), total, count in zip(names, total_C, count_C, strict=True)
        if count
    ]


def check(combination: Combination, experts: Mapping[str, Expert]) -> None:
    """Raises ConfigError unless the experts can be combined: each predicts tokens, and of one vocabulary."""
    part("", combination, {name: expert.reading for name, expert in experts.items()})
    tasks = [experts[name].task for name in combination.experts]
    check_vocabularies(combination.experts, [task.model.padded_vocab(task.vocab_size) for task in tasks])
    first, second = tasks
    require(
        np.array_equal(first.byte_lengths_V, second.byte_lengths_V) and first.ids == second.ids,
        f"experts {' and '.join(map(repr, combination.experts))} have vocabularies of one size and different tokens, "
        "so their probabilities belong to different tokens; train both on rows prepared with the same tokenizer.",
    )
