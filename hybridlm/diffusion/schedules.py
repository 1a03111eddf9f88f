"""How much noise at time t, and what a moment of noise weighs in the likelihood bound.

A schedule is given as 1 − α(t), the probability that a token is replaced by time t: this is the number that is small,
and must be precise, where the weight −α′/(1−α) is large.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from hybridlm.config.errors import ConfigError, require

Time = Float[ArrayLike, "..."]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """α(t) = 1 − replaced(t, *parameters), where `replaced` rises from 0 at t=0 to 1 at t=1.

    Any function of jax.numpy will do. Schedules of the same function and parameters are equal and hash alike, so they
    may be static arguments of jit.
    """

    replaced: Callable[..., Array]
    parameters: tuple[float, ...] = ()

    def one_minus_alpha(self, t: Time) -> Float[Array, "..."]:
        """Probability that a token is replaced by time t, precise also near 0."""
        return self.replaced(jnp.asarray(t), *self.parameters)

    def alpha(self, t: Time) -> Float[Array, "..."]:
        """Probability that a token is still its clean self at time t."""
        return 1 - self.one_minus_alpha(t)


def alpha_prime(schedule: Schedule, t: Time) -> Float[Array, "..."]:
    """dα/dt, element by element."""
    return -_replaced_and_slope(schedule, t)[1]


def likelihood_weight(schedule: Schedule, t: Time) -> Float[Array, "..."]:
    """−α′(t) / (1 − α(t)), what the NLL of a masked token weighs in the continuous-time bound; t in (0, 1].

    MDLM (arXiv:2406.07524) and MD4 (arXiv:2406.04329, eq. 5).
    """
    replaced, slope = _replaced_and_slope(schedule, t)
    return slope / replaced


def from_name(name: str) -> Schedule:
    """The schedule called "linear", "cosine" or "polynomial:k", k > 0."""
    kind, *parameters = name.split(":")
    require(kind in _BY_NAME, f"schedule {name!r} is not one of {_known()}.")
    replaced, wanted = _BY_NAME[kind]
    require(
        len(parameters) == len(wanted),
        f"schedule {name!r} has {len(parameters)} parameter(s) after its name but takes {len(wanted)}; "
        f"write {':'.join((kind, *wanted))!r}.",
    )
    return Schedule(replaced, tuple(_positive(name, parameter) for parameter in parameters))


def _linear(t):
    return t


def _cosine(t):
    return jnp.sin(jnp.pi / 2 * t)


def _polynomial(t, k):
    return t**k


_BY_NAME = {"linear": (_linear, ()), "cosine": (_cosine, ()), "polynomial": (_polynomial, ("k",))}


def _known() -> str:
    return ", ".join(":".join((kind, *wanted)) for kind, (_, wanted) in _BY_NAME.items())


def _positive(name: str, parameter: str) -> float:
    try:
        value = float(parameter)
    except ValueError:
        raise ConfigError(f"schedule {name!r}: {parameter!r} is not a number; write it like 'polynomial:2'.") from None
    require(0 < value < float("inf"), f"schedule {name!r}: a parameter must be positive and finite, or α cannot fall.")
    return value


def _replaced_and_slope(schedule: Schedule, t: Time) -> tuple[Array, Array]:
    t = jnp.asarray(t)
    return jax.jvp(schedule.one_minus_alpha, (t,), (jnp.ones_like(t),))
