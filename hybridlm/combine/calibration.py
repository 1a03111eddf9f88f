"""A prediction reweighted by what is known of ids, not of tokens: p'(v) ∝ p(v)^slope_v e^offset_v.

Logit adjustment (Menon et al., 2007.07314) is slope 1 and offset −tau log prior(v). A slope, which is an inverse
temperature, and an offset for each band of frequency is vector scaling (Guo et al., 1706.04599) with a band's ids tied.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hybridlm.combine.rules import normalised
from hybridlm.facts.head import NEVER


def tilted(
    logp_NV: Float[Array, "*N V"], slope_V: Float[Array, "#V"], offset_V: Float[Array, "#V"]
) -> Float[Array, "*N V"]:
    """p^slope e^offset, renormalised; impossible ids stay impossible whatever their offset."""
    return normalised(jnp.where(logp_NV <= NEVER / 2, NEVER, slope_V * logp_NV + offset_V))


def adjusted(
    logp_NV: Float[Array, "*N V"], log_prior_V: Float[Array, "V"], tau: float | Float[Array, ""]
) -> Float[Array, "*N V"]:
    """Logit adjustment: p / prior^tau, renormalised; it favours rare ids where tau > 0."""
    return tilted(logp_NV, jnp.ones(1), -tau * log_prior_V)


def by_band(
    logp_NV: Float[Array, "*N V"], band_V: Int[Array, "V"], slope_K: Float[Array, "K"], offset_K: Float[Array, "K"]
) -> Float[Array, "*N V"]:
    """The slope and offset of the band that each id belongs to."""
    return tilted(logp_NV, slope_K[band_V], offset_K[band_V])
