"""How much noise at time t, and what a moment of noise weighs in the likelihood bound.

A schedule is given as 1 − α(t), the probability that a token is replaced by time t: this is the number that is small,
and must be precise, where the weight −α′/(1−α) is large.
"""

import dataclasses
import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
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
    """The schedule called "linear", "cosine" or "polynomial:k", k > 0, or of one's own function "package.module:f".

    Raises ConfigError where 1 − α falls anywhere or leaves [0, 1].
    """
    kind, *parameters = name.split(":")
    if kind not in _BY_NAME and "." in kind and len(parameters) == 1:
        return _own(name, kind, parameters[0])
    require(kind in _BY_NAME, f"schedule {name!r} is not one of {_known()}.")
    replaced, wanted = _BY_NAME[kind]
    require(
        len(parameters) == len(wanted),
        f"schedule {name!r} has {len(parameters)} parameter(s) after its name but takes {len(wanted)}; "
        f"write {':'.join((kind, *wanted))!r}.",
    )
    return Schedule(replaced, tuple(_positive(name, parameter) for parameter in parameters))


def check_ends(schedule: Schedule, name: str) -> None:
    """Raises ConfigError unless everything is kept at 0 and nothing at 1, as a bound needs that is sampled over times.

    Otherwise it would lack what the text costs given the noise at 0, and what the noise at 1 tells of the text.
    """
    noise = _on_grid(schedule)
    require(
        bool(noise[0] < _TOLERANCE and noise[-1] > 1 - _TOLERANCE),
        f"schedule {name!r} replaces a share of {noise[0]:.3g} at t=0 and {noise[-1]:.3g} at t=1, not 0 and 1, so the "
        "value would lack the reconstruction or the prior term and be no bound. It may be trained with; read the model "
        "with a schedule that reaches both ends, such as 'linear'.",
    )


_TOLERANCE = 1e-6


def _on_grid(schedule: Schedule) -> np.ndarray:
    with jax.ensure_compile_time_eval():
        return np.asarray(schedule.one_minus_alpha(jnp.linspace(0.0, 1.0, 1001)), np.float64)


def _own(name: str, module: str, function: str) -> Schedule:
    try:
        schedule = Schedule(getattr(importlib.import_module(module), function))
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"schedule {name!r} could not be imported ({error}); it must read 'package.module:function' and name a "
            "function of t that gives the replaced share, 1 − α."
        ) from error
    noise = _on_grid(schedule)
    falls = np.flatnonzero(np.diff(noise) < -_TOLERANCE)
    require(
        not falls.size,
        f"schedule {name!r} must never fall, since noise only grows with time, but the replaced share falls after "
        f"t={falls.min(initial=1000) / 1000:g}; it is 1 − α(t), 0 for clean text at t=0.",
    )
    require(
        bool(noise.min() >= -_TOLERANCE and noise.max() <= 1 + _TOLERANCE),
        f"schedule {name!r} gives replaced shares from {noise.min():.3g} to {noise.max():.3g}; a share lies between 0 "
        "and 1.",
    )
    return schedule


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
