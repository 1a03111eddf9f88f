"""A gate of one's own is tried before it is trusted, and what is wrong with it is said with its line and its repair."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.combine.context import FIELDS, context
from hybridlm.combine.own_gate import imported
from hybridlm.config.errors import ConfigError

HAS = f" A Context has {', '.join(FIELDS)}, and nothing of the token that is to come (docs/combine.md)."
COMPILED = (
    ". A gate computes with arrays of many tokens inside a compiled program: write jnp.where(condition, a, b) for if, "
    "& and | for and and or, and jax.numpy for numpy and math." + HAS
)
SHAPE = (
    " for 9 tokens, and a gate gives one share for each token, (9,); compute it from fields of the Context, or for one "
)
SHAPE += f"share everywhere take gate='constant'.{HAS}"
RANGE = (
    ", and a share is a probability between 0 and 1; squash it by jax.nn.sigmoid or cut it off by jnp.clip(..., 0, 1),"
)
RANGE += " and take no logarithm or quotient of what may be 0."


def misspelt(context):
    return context.entropi_a


def by_gold(context):
    return context.target


def with_if(context):
    return 1.0 if context.entropy_a < 1 else 0.0


def with_numpy(context):
    return np.where(context.entropy_a < 1, 1.0, 0.0)


def with_math(context):
    return math.exp(-context.entropy_a)


def half(context):
    return 0.5


def all_features(context):
    return jax.nn.sigmoid(context.features)


def forgotten(context):
    _ = context.entropy_a > 1


def log_odds(context):
    return jnp.log(context.confidence_a) - jnp.log(context.confidence_b)


def not_a_number(context):
    return jnp.log(context.confidence_a - 2)


def by_the_batch(context):
    return context.entropy_a > context.entropy_a.mean()


def by_target(context, target):
    return target == 0


THRESHOLD = 0.5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("misspelt", " failed in line {line}: a Context has no 'entropi_a'; did you mean 'entropy_a'?" + HAS),
        ("by_gold", " failed in line {line}: a Context has no 'target'." + HAS),
        ("with_if", " failed in line {line}: ValueError: The truth value of an array with more than one element is "
         "ambiguous. Use a.any() or a.all()" + COMPILED),
        ("with_numpy", " failed in line {line}: TracerArrayConversionError: The numpy.ndarray conversion method "
         "__array__() was called on traced array with shape bool[9]" + COMPILED),
        ("with_math", " failed in line {line}: TypeError: Only scalar arrays can be converted to Python scalars; got "
         "arr.ndim=1" + COMPILED),
        ("half", " gave an array ()" + SHAPE),
        ("all_features", " gave an array (9, 6)" + SHAPE),
        ("forgotten", " gave no array" + SHAPE),
        ("log_odds", " gave shares from -1.36 to 1.36" + RANGE),
        ("not_a_number", " gave shares from nan to nan" + RANGE),
        ("by_the_batch", " gave a token among 9 the share 1, and 0 when it came alone: it reads the other tokens "
         "of a batch, and those behind a token know what it is. Use no mean, sum, sort or maximum over tokens."),
        ("by_target", " takes context, target, and a gate is given one argument, the Context of two predictions. It "
         "cannot have the target: probabilities would no longer sum to 1."),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line_and_their_repair(name, text):
    with pytest.raises(ConfigError) as refused:
        imported(f"{__name__}:{name}")
    line = globals()[name].__code__.co_firstlineno + 1
    assert str(refused.value) == f"the gate '{__name__}:{name}'" + text.format(line=f"{line} of {__file__}")


def test_what_cannot_be_imported_is_refused(importable):
    (importable / "cut_off.py").write_text("def gate(context:")
    (importable / "folder").mkdir()
    for path, text in {
        "nowhere:gate": " cannot be imported: No module named 'nowhere'; is its folder on PYTHONPATH?",
        "cut_off:gate": " cannot be imported: '(' was never closed (cut_off.py, line 1); is its folder on PYTHONPATH?",
        "sys:exit": ": 'sys' is no file of Python code, but a part of Python itself or a folder; name the file that "
        "your gate is written in, as package.module:function.",
        "folder:gate": ": 'folder' is no file of Python code, but a part of Python itself or a folder; name",
        f"{__name__}:half_": f" names no function of {__file__}; did you mean 'half'?",
        f"{__name__}:THRESHOLD": f" names no function of {__file__}; known are ",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(f"combination.gate='{path}'{text}")):
            imported(path)


def test_it_is_tried_inside_a_compiled_program_too():
    with pytest.raises(ConfigError, match="gave shares from -1.36 to 1.36"):
        jax.jit(lambda: imported(f"{__name__}:log_odds"))()


def beyond(context):
    return jnp.where(context.confidence_a > 0.99, 1.5, 0.5)


def test_shares_that_no_trial_showed_stay_between_0_and_1():
    sure = context(jnp.log(jnp.array([[0.998, 0.001, 0.001]])), jnp.log(jnp.full((1, 3), 1 / 3)), jnp.zeros(3))
    np.testing.assert_array_equal(imported(f"{__name__}:beyond")(sure), [1.0])
