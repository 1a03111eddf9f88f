"""The numbers of a combination that are found on held-out text: gate, calibration by band, and how far to adjust.

Fit on one half of the validation text and report the other: the text of a fit says nothing of how well it did.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hybridlm.combine.calibration import adjusted
from hybridlm.combine.combined import Fitted, Frequencies, combined, unfitted, with_fitted
from hybridlm.combine.fitting import minimised
from hybridlm.combine.pareto import Curve, curve
from hybridlm.config.combination import Combination
from hybridlm.evaluation.combined import Expert, bands, check, frequencies, predict
from hybridlm.evaluation.task import Batch, Task
from hybridlm.facts.head import Head
from hybridlm.scoring.chunks import anywhere
from hybridlm.scoring.combined import combined_nll, combined_scores


@no_type_check  # trees of its shapes exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Attributes: hidden: of each expert, the states that predict N tokens. heads: of each. targets_N: the tokens."""

    hidden: tuple[Float[Array, "N _"], ...]
    heads: tuple[Head, ...]
    targets_N: Int[Array, "N"]


def held_out(
    combination: Combination, experts: Mapping[str, Expert], params: Mapping[str, Any], batches: Iterable[Batch]
) -> HeldOut:
    """The states of every token of a text that both experts predict; all of them are on the device at once."""
    check(combination, experts)

    @jax.jit
    def states(params, batch, number):
        found, heads = predict(combination, experts, params, batch, number, groups=1, constrain=anywhere)
        return [found[name] for name in combination.experts], tuple(heads[name] for name in combination.experts)

    hidden, targets = ([], []), []
    for number, batch in enumerate(batches):
        (first, second), heads = states(params, batch, number)
        is_counted_RS = np.asarray(first.is_counted_RS & second.is_counted_RS)
        for kept, prediction in zip(hidden, (first, second)):
            kept.append(prediction.hidden_RSD[is_counted_RS])
        targets.append(np.asarray(batch["tokens"])[is_counted_RS])
    return HeldOut(
        hidden=tuple(jnp.concatenate(kept) for kept in hidden),
        heads=heads,
        targets_N=jnp.asarray(np.concatenate(targets), jnp.int32),
    )


def fit(combination: Combination, task: Task, text: HeldOut) -> Combination:
    """The combination with a learned gate and a calibration by band, as far as it has them, of least NLL on a text."""
    known, start = frequencies(task, combination), unfitted(combination, bands(task, combination)[1])
    standard = _standard(combination, text, known, start)

    def loss(fitted, text, known):
        combine = functools.partial(combined, combination, frequencies=known, fitted=_plain(fitted, *standard))
        return combined_nll(text.hidden, text.heads, text.targets_N, combine).mean()

    return with_fitted(combination, _plain(minimised(loss, start, text, known), *standard))


def adjustment_curve(
    combination: Combination, task: Task, text: HeldOut, taus: Sequence[float], is_rare_V: Bool[np.ndarray, "V"]
) -> Curve:
    """What logit adjustment of a combination gives rare tokens and takes from common ones, at every tau."""
    known = frequencies(task, combination)

    @jax.jit
    def nll(tau, text, known):
        def combine(a, b):
            found = combined(combination, a, b, known)
            return dataclasses.replace(found, logp_NV=adjusted(found.logp_NV, known.log_V, tau))

        return combined_nll(text.hidden, text.heads, text.targets_N, combine)

    nll_PN = np.stack([np.asarray(nll(tau, text, known)) for tau in taus])
    return curve(np.asarray(taus), nll_PN, is_rare_V[np.asarray(text.targets_N)])


def _standard(combination: Combination, text: HeldOut, known: Frequencies, start: Fitted):
    """Mean and spread of every feature, in units of which the weights are found."""
    combine = functools.partial(combined, combination, frequencies=known, fitted=start)
    score = jax.jit(lambda text: combined_scores(text.hidden, text.heads, text.targets_N, combine).features)
    features_NF = score(text)
    return features_NF.mean(0), features_NF.std(0) + 1e-6


def _plain(fitted: Fitted, mean_F: Float[Array, "F"], spread_F: Float[Array, "F"]) -> Fitted:
    """Weights of standardised features as weights of the features as they are."""
    if fitted.weights_F is None:
        return fitted
    weights_F = fitted.weights_F[1:] / spread_F
    bias = fitted.weights_F[0] - weights_F @ mean_F
    return dataclasses.replace(fitted, weights_F=jnp.concatenate([bias[None], weights_F]))
