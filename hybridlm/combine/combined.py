"""A `Combination` at work: two predictions in, one prediction and the share of the first out."""

import dataclasses
from collections.abc import Sequence
from typing import no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from hybridlm.combine import gates
from hybridlm.combine.calibration import adjusted, by_band
from hybridlm.combine.context import Context, context
from hybridlm.combine.rules import RULES
from hybridlm.config.combination import FEATURES, Combination
from hybridlm.config.errors import require


@no_type_check  # trees of its shapes exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Frequencies:
    """What training counts say of every id. Attributes: log_V: log frequency, finite. band_V: which band it is in."""

    log_V: Float[Array, "V"]
    band_V: Int[Array, "V"]


@no_type_check  # trees of its gradients exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """The numbers that are fitted on held-out text; all 0 is a gate of 1/2 and no calibration. None is not fitted.

    Attributes: weights_F: bias and weights of a learned gate. log_slope_K, offset_K: of every band.
    """

    weights_F: Float[Array, "F"] | None = None
    log_slope_K: Float[Array, "K"] | None = None
    offset_K: Float[Array, "K"] | None = None


@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Combined:
    """Attributes: logp_NV: normalised, NEVER where the probability is 0. share_N: of the first expert. context."""

    logp_NV: Float[Array, "*N V"]
    share_N: Float[Array, "*N"]
    context: Context


def combined(
    combination: Combination,
    logp_a_NV: Float[Array, "*N V"],
    logp_b_NV: Float[Array, "*N V"],
    frequencies: Frequencies,
    fitted: Fitted | None = None,
) -> Combined:
    """One distribution of two, each as `rules.normalised` gives it; numbers that are `fitted` replace those of the
    combination."""
    fitted = fitted or Fitted()
    known = context(logp_a_NV, logp_b_NV, frequencies.log_V)
    if fitted.weights_F is None:
        share_N = gates.gate(combination.gate)(known, combination)
    else:
        share_N = gates.learned(known, fitted.weights_F)
    logp_NV = RULES[combination.rule](logp_a_NV, logp_b_NV, share_N)
    return Combined(logp_NV=_calibrated(combination, logp_NV, frequencies, fitted), share_N=share_N, context=known)


def _calibrated(combination: Combination, logp_NV, frequencies: Frequencies, fitted: Fitted):
    """The combined prediction calibrated by band, then adjusted; as it is where neither is asked for."""
    calibration = combination.calibration
    if fitted.log_slope_K is not None:
        logp_NV = by_band(logp_NV, frequencies.band_V, jnp.exp(fitted.log_slope_K), fitted.offset_K)
    elif calibration.slopes:
        slope_K, offset_K = jnp.asarray(calibration.slopes), jnp.asarray(calibration.offsets)
        logp_NV = by_band(logp_NV, frequencies.band_V, slope_K, offset_K)
    if calibration.adjustment:
        logp_NV = adjusted(logp_NV, frequencies.log_V, calibration.adjustment)
    return logp_NV


def unfitted(combination: Combination, bands: int) -> Fitted:
    """The start of a fit: zeros for what the combination leaves to be fitted, None for the rest."""
    learns, calibrates = combination.gate == "learned", bool(combination.calibration.bands)
    return Fitted(
        weights_F=jnp.zeros(1 + len(FEATURES)) if learns else None,
        log_slope_K=jnp.zeros(bands) if calibrates else None,
        offset_K=jnp.zeros(bands) if calibrates else None,
    )


def with_fitted(combination: Combination, fitted: Fitted) -> Combination:
    """The combination with fitted numbers in it, as a config stores them."""
    calibration = combination.calibration
    if fitted.log_slope_K is not None:
        slopes, offsets = _numbers(jnp.exp(fitted.log_slope_K)), _numbers(fitted.offset_K)
        calibration = dataclasses.replace(calibration, slopes=slopes, offsets=offsets)
    weights = combination.weights if fitted.weights_F is None else _numbers(fitted.weights_F)
    return dataclasses.replace(combination, weights=weights, calibration=calibration)


def check_vocabularies(names: Sequence[str], sizes: Sequence[int]) -> None:
    """Raises ConfigError unless all experts predict the same ids."""
    found = ", ".join(f"{name!r} predicts {size}" for name, size in zip(names, sizes, strict=True))
    require(
        len(set(sizes)) == 1,
        f"experts of a combination must share one vocabulary, and of these {found} ids, so their probabilities belong "
        "to different tokens; train both on rows prepared with the same tokenizer and model.vocab_multiple.",
    )


def _numbers(array: ArrayLike) -> tuple[float, ...]:
    return tuple(float(x) for x in array)
