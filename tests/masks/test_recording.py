"""What a mask function may not say is refused when it is built, and the refusal names the fix."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import masks

TABLE = np.arange(8)
NO_TRUTH_VALUE = "has no truth value yet: Python's and / or / not / if / in, chained comparisons"
WRITE_AMPERSAND = "Write & for and, | for or, ~ for not, and put parentheses around each comparison"
NO_INDEX = "a symbol cannot index an array. Put the array into the batch as an integer column and read it as a fact"
NO_PRODUCT = "facts may be multiplied, divided and reduced modulo by constants only"
NO_CONSTANT = "cannot stand in a mask: only whole numbers known now can"

REFUSED = {
    "and": (lambda q, k: q.index >= k.index and q.segment == k.segment, NO_TRUTH_VALUE),
    "or": (lambda q, k: q.index >= k.index or k.position < 4, WRITE_AMPERSAND),
    "not": (lambda q, k: not q.index >= k.index, "`(k.index <= q.index)` has no truth value yet"),
    "if": (lambda q, k: q.index >= k.index if k.valid else k.valid, "`k.valid` has no truth value yet"),
    "chain": (lambda q, k: 0 <= q.index - k.index < 4, "chained comparisons (a < b < c)"),
    "max": (lambda q, k: max(q.index, 3) >= k.index, "min and max cannot be used"),
    "in": (lambda q, k: q.stream in (1, 2), NO_TRUTH_VALUE),
    "no parentheses": (lambda q, k: (q.index >= k.index) & q.segment == k.segment, "because & and | bind tighter"),
    "numbers joined": (lambda q, k: q.index & k.index == 1, "`q.index` is a number, and & | ^ join conditions"),
    "condition as number": (lambda q, k: (q.index >= k.index) == 1, "a condition joins with a condition, not with int"),
    "number as condition": (lambda q, k: q.index == (k.index == 1), "is a condition where a number is needed"),
    "numpy array": (lambda q, k: q.index >= TABLE, f"a constant of type ndarray {NO_CONSTANT}"),
    "numpy array first": (lambda q, k: q.index <= TABLE, f"a constant of type ndarray {NO_CONSTANT}"),
    "jax array": (lambda q, k: q.index >= jnp.arange(8), f"{NO_CONSTANT}. Put per-token values into the batch"),
    "boolean array": (lambda q, k: (q.index >= k.index) & (TABLE > 2), "joins with a condition, not with ndarray"),
    "float": (lambda q, k: q.index >= 0.5, f"a constant of type float {NO_CONSTANT}"),
    "bool as number": (lambda q, k: q.valid == True, f"a constant of type bool {NO_CONSTANT}"),  # noqa: E712
    "product": (lambda q, k: q.index * k.index == 0, f"`q.index * k.index`: {NO_PRODUCT}"),
    "quotient": (lambda q, k: q.index // k.block == 0, f"`q.index // k.block`: {NO_PRODUCT}"),
    "remainder": (
        lambda q, k: q.index % k.block == 0,
        "Store the result as a column of the batch and read it as a fact",
    ),
    "divided constant": (lambda q, k: 8 // q.index == 0, f"`8 // q.index`: {NO_PRODUCT}"),
    "remainder of constant": (lambda q, k: 8 % q.index == 0, f"`8 % q.index`: {NO_PRODUCT}"),
    "true division": (lambda q, k: q.index / 2 >= k.index, "write // to divide and round down"),
    "index into numpy": (lambda q, k: TABLE[q.index] == TABLE[k.index], NO_INDEX),
    "index into jax": (lambda q, k: jnp.arange(8)[q.index] == 3, "masks.from_mask_mod(function, facts="),
    "index into list": (lambda q, k: [3, 4][q.index] == 3, NO_INDEX),
    "constant": (lambda q, k: True, "the mask function returned True whatever q and k are"),
    "identity": (lambda q, k: q.index is k.index, "returned False whatever q and k are. Compare facts with =="),
    "number": (lambda q, k: q.index - k.index, "must return a condition on q and k (a comparison), not Term"),
    "nothing": (lambda q, k: None, "must return a condition on q and k (a comparison), not NoneType"),
}
TOO_LARGE = {
    "sum": (lambda q, k: q.index + k.index + q.block + k.block + q.position <= 0, "can reach 2684354555, beyond int32"),
    "multiple": (lambda q, k: q.index * 5 >= k.index, "store the sum as a column of the batch and read it as a fact"),
    "constant": (lambda q, k: q.index < 2**31, "the constant 2147483648 is beyond int32; facts stay within ±536870912"),
    "zero": (lambda q, k: q.index // 0 == 1, "`q.index // 0`: divide by a positive constant."),
    "negative": (lambda q, k: q.index % -2 == 1, "`q.index % -2`: divide by a positive constant."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    function, text = REFUSED[name]
    with pytest.raises(TypeError, match=re.escape(text)):
        masks.custom(function)


@pytest.mark.parametrize("name", TOO_LARGE)
def test_refused_numbers(name):
    function, text = TOO_LARGE[name]
    with pytest.raises(ValueError, match=re.escape(text)):
        masks.custom(function)


def test_a_number_known_only_inside_jit_is_refused():
    with pytest.raises(TypeError, match=re.escape(NO_CONSTANT)):
        jax.jit(lambda n: masks.custom(lambda q, k: q.index >= n) and n)(3)


def test_the_function_is_called_once_and_never_again():
    calls = []
    mask = masks.custom(lambda q, k: calls.append(1) or q.index >= k.index)
    assert mask == masks.causal()
    hash(mask), repr(mask), mask & mask, masks.to_json(mask)
    assert calls == [1]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda q, k: q.index > k.index, "(k.index < q.index)"),
        (lambda q, k: abs(q.index - k.index) != 3, "~(abs((q.index - k.index)) == 3)"),
        (lambda q, k: -q.depth == np.int32(2), "((0 - q.depth) == 2)"),
        (lambda q, k: 1 - 2 * q.index % 3 < 0, "((1 - ((q.index * 2) % 3)) < 0)"),
        (lambda q, k: (q.a == 1) ^ (k.a == 1), "(((k.a == 1) | (q.a == 1)) & (~(k.a == 1) | ~(q.a == 1)))"),
        (lambda q, k: ((q.a == 1) & np.True_) | (k.a < 0) & np.False_, "(q.a == 1)"),
    ],
)
def test_what_is_recorded_can_be_read(function, text):
    assert text in repr(masks.custom(function))
