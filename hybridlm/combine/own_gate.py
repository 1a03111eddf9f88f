"""A gate of one's own: imported by its path, and tried once on a few made-up predictions before it is trusted.

There it does what it would do in a model: it is traced, and must give each token a share that is a probability and that
no other token decides. A mistake is named with its line and its repair, and not deep inside a compiled program.
"""

import importlib
import inspect
import operator
import traceback
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hybridlm.combine.context import FIELDS, Context, context
from hybridlm.config.errors import ConfigError, closest, nearest, require

OwnGate = Callable[[Context], Float[Array, "*N"]]

ROUNDING = 1e-4
"""How far from a probability, or from itself, a share may be."""


def imported(path: str) -> OwnGate:
    """The function at "package.module:function", held between 0 and 1; raises ConfigError where it is no gate."""
    function, file = _found(path)
    found = _parameters(path, function)
    require(
        len(found) == 1,
        f"the gate {path!r} takes {', '.join(found) or 'nothing'}, and a gate is given one argument, the Context of "
        "two predictions. It cannot have the target: probabilities would no longer sum to 1.",
    )
    _try(f"the gate {path!r}", function, file)
    return lambda known: jnp.clip(jnp.asarray(function(known), jnp.float32), 0, 1)


def _parameters(path: str, function: OwnGate) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError as error:
        raise ConfigError(
            f"the gate {path!r} does not say what it takes, as functions written in C do not; write one of Python that "
            "takes the Context of two predictions and calls it."
        ) from error


def _found(path: str) -> tuple[OwnGate, str]:
    """The function, and the file that it lies in."""
    name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise ConfigError(
            f"combination.gate={path!r} cannot be imported: {error}; is its folder on PYTHONPATH?"
        ) from error
    file = getattr(module, "__file__", None)
    require(
        file is not None,
        f"combination.gate={path!r}: {name!r} is no file of Python code, but a part of Python itself or a folder; name "
        "the file that your gate is written in, as package.module:function.",
    )
    functions = [name for name, value in vars(module).items() if callable(value)]
    require(
        attribute in functions, f"combination.gate={path!r} names no function of {file}{nearest(attribute, functions)}"
    )
    return getattr(module, attribute), file


def _try(gate: str, function: OwnGate, file: str) -> None:
    """Refuses a gate that fails, or whose shares are none."""
    known = _examples()
    count = known.entropy_a.size
    try:
        shape = getattr(jax.eval_shape(function, known), "shape", None)
        with jax.ensure_compile_time_eval():
            tokens = [jax.tree.map(operator.itemgetter(slice(n, n + 1)), known) for n in range(count)]
            share_N, alone_N = (np.asarray(given, float) for given in (function(known), [*map(function, tokens)]))
    except Exception as error:
        raise ConfigError(f"{gate} failed{_line(error, file)}: {_said(error)} {_HAS}") from error
    require(
        shape == (count,),
        f"{gate} gave {'no array' if shape is None else f'an array {shape}'} for {count} tokens, and a gate gives one "
        f"share for each token, ({count},); compute it from fields of the Context, or for one share everywhere take "
        f"gate='constant'. {_HAS}",
    )
    require(
        bool(np.all((share_N >= -ROUNDING) & (share_N <= 1 + ROUNDING))),
        f"{gate} gave shares from {share_N.min():.3g} to {share_N.max():.3g}, and a share is a probability between 0 "
        "and 1; squash it by jax.nn.sigmoid or cut it off by jnp.clip(..., 0, 1), and take no logarithm or quotient of "
        "what may be 0.",
    )
    among, alone = max(zip(share_N, alone_N.ravel(), strict=True), key=lambda shares: abs(shares[0] - shares[1]))
    require(
        bool(abs(among - alone) <= ROUNDING),
        f"{gate} gave a token among {count} the share {among:.3g}, and {alone:.3g} when it came alone: "
        "it reads the other tokens of a batch, and those behind a token know what it is. Use no mean, sum, sort or "
        "maximum over tokens.",
    )


def _examples() -> Context:
    """Nine tokens, of which each prediction is sure, undecided or in between."""
    with jax.ensure_compile_time_eval():
        p_KV = jnp.array([[0.97, 0.01, 0.01, 0.01], [0.25, 0.25, 0.25, 0.25], [0.1, 0.6, 0.2, 0.1]])
        a_NV, b_NV = jnp.log(jnp.repeat(p_KV, 3, axis=0)), jnp.log(jnp.tile(p_KV, (3, 1)))
        return context(a_NV, b_NV, jnp.array([-1.0, -3.0, -6.0, -9.0]))


def _line(error: Exception, file: str) -> str:
    """The last line of the gate's own file that was reached."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]} of {file}" if lines else ""


def _said(error: Exception) -> str:
    """What went wrong, with what may have been meant."""
    if isinstance(error, AttributeError) and isinstance(error.obj, Context):
        near = closest(error.name, FIELDS)
        return f"a Context has no {error.name!r}{f'; did you mean {near!r}?' if near else '.'}"
    return (
        f"{type(error).__name__}: {str(error).partition(chr(10))[0].rstrip('.')}. A gate computes with arrays of many "
        "tokens inside a compiled program: write jnp.where(condition, a, b) for if, & and | for and and or, and "
        "jax.numpy for numpy and math."
    )


_HAS = f"A Context has {', '.join(FIELDS)}, and nothing of the token that is to come (docs/combine.md)."
