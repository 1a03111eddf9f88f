"""Laws of every mask anybody can write, on random expressions over random facts.

The oracle is the user's function itself, run by numpy on the facts of all pairs at once.
"""

import json
import operator
import types

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings

from hybridlm import masks
from hybridlm.facts.names import LIMIT
from hybridlm.facts.tokens import TokenFacts

NAMES = ("position", "index", "segment", "block", "stream", "valid", "depth")
ONE_SIZE = ((13, 3), (17, 3))  # tokens and block of the queries, of the keys
MANY_SIZES = [(q, k) for q in ((9, 2), (13, 3), (20, 4), (24, 5)) for k in ((12, 2), (17, 3), (24, 4), (26, 5))]
"""Always five blocks of queries and six of keys, so that few shapes are compiled."""
NUMBERS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod}
ORDERS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
INFIX = {**NUMBERS, **ORDERS, "&": operator.and_, "|": operator.or_, "^": operator.xor}


def run(tree, q, k):
    """Runs an expression drawn below as a user would have written it."""
    match tree:
        case (side, name):
            return getattr(q if side == "q" else k, name)
        case ("abs", _, inner):
            return abs(run(inner, q, k))
        case ("~", _, inner):
            return ~run(inner, q, k)
        case (left, op, right):
            return INFIX[op](run(left, q, k), run(right, q, k))
    return tree


facts_read = st.tuples(st.sampled_from("qk"), st.sampled_from(NAMES))
constants = st.integers(-9, 9)
sizes = st.integers(1, 9)
terms = st.recursive(
    facts_read,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-"), st.one_of(inner, constants)),
        st.tuples(constants, st.sampled_from("+-"), inner),
        st.tuples(inner, st.sampled_from(("//", "%")), sizes),
        st.tuples(inner, st.just("*"), st.integers(-2, 2)),
        st.tuples(st.just("abs"), st.none(), inner),
    ),
    max_leaves=3,
)
comparisons = st.tuples(terms, st.sampled_from(sorted(ORDERS)), st.one_of(terms, constants))
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(("&", "|", "^", "==", "!=")), inner),
        st.tuples(st.just("~"), st.none(), inner),
    ),
    max_leaves=5,
)


def write(tree):
    """The mask recorded from a drawn condition, or None for the few that could overflow int32 and are refused."""
    try:
        return tree, masks.custom(lambda q, k: run(tree, q, k))
    except ValueError as error:
        assert "beyond int32" in str(error)


written = conditions.map(write).filter(bool)


@st.composite
def sides(draw, sizes=(ONE_SIZE,)):
    """Facts of queries and keys: sorted and unsorted, small and as large as they may be."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    (T, block_q), (S, block_k) = draw(st.sampled_from(sizes))

    def facts(*shape):
        return TokenFacts(
            position=jnp.asarray(rng.integers(-3, 9, shape), jnp.int32),
            index=jnp.broadcast_to(jnp.arange(shape[1], dtype=jnp.int32), shape),
            segment=jnp.asarray(np.sort(rng.integers(0, 5, shape)), jnp.int32),
            block=jnp.asarray(np.sort(rng.integers(-4, 5, shape)), jnp.int32),
            stream=jnp.asarray(np.sort(rng.integers(0, 3, shape)), jnp.int32),
            valid=jnp.asarray(rng.integers(0, 5, shape) > 0, jnp.int32),
            extra={"depth": jnp.asarray(rng.choice([1 - LIMIT, -1, 0, 7, LIMIT - 1], shape), jnp.int32)},
        )

    return facts(2, T), facts(1, S), block_q, block_k


def columns(facts, axis):
    """The facts as numpy int64, ready to broadcast against the other side's."""
    return types.SimpleNamespace(**{name: np.expand_dims(np.int64(getattr(facts, name)), axis) for name in NAMES})


def oracle(tree, q_facts, k_facts):
    """The matrix [B, T, S] the user's function gives on all pairs at once."""
    answer = run(tree, columns(q_facts, 2), columns(k_facts, 1))
    return np.broadcast_to(answer, (q_facts.shape[0], q_facts.shape[1], k_facts.shape[1]))


def dense(mask, q_facts, k_facts):
    return np.asarray(masks.materialize(mask, q_facts, k_facts))


def over_blocks(reduce, matrix, block_q, block_k):
    """`np.any` or `np.all` over each block of a matrix [B, T, S]."""
    rows = [reduce(matrix[:, i : i + block_q], 1) for i in range(0, matrix.shape[1], block_q)]
    matrix = np.stack(rows, 1)
    return np.stack([reduce(matrix[:, :, j : j + block_k], 2) for j in range(0, matrix.shape[2], block_k)], 2)


@settings(max_examples=80)
@given(written, sides())
def test_a_mask_means_what_its_function_means(expression, tokens):
    (tree, mask), (q_facts, k_facts, _, _) = expression, tokens
    np.testing.assert_array_equal(dense(mask, q_facts, k_facts), oracle(tree, q_facts, k_facts))


@settings(max_examples=80)
@given(written, sides(MANY_SIZES))
def test_an_empty_block_hides_every_pair_and_a_full_block_none(expression, tokens):
    (tree, mask), (q_facts, k_facts, block_q, block_k) = expression, tokens
    found = np.asarray(masks.block_map(mask, q_facts, k_facts, block_q=block_q, block_k=block_k))
    matrix = oracle(tree, q_facts, k_facts)
    assert not np.any((found == 0) & over_blocks(np.any, matrix, block_q, block_k))
    assert not np.any((found == 2) & ~over_blocks(np.all, matrix, block_q, block_k))


@settings(max_examples=60)
@given(written, written, written)
def test_masks_that_say_the_same_are_equal_and_hash_alike(first, second, third):
    (_, a), (_, b), (_, c) = first, second, third
    for left, right in [
        (a & b, b & a),
        (a | b, b | a),
        (a & (b & c), (a & b) & c),
        (a | (b | c), (a | b) | c),
        (a & a, a),
        (a | a, a),
        (~~a, a),
        (~(a & b), ~a | ~b),
        (~(a | b), ~a & ~b),
        (a & masks.bidirectional(), a),
        (a | masks.bidirectional(), masks.bidirectional()),
    ]:
        assert left == right
        assert hash(left) == hash(right)


@settings(max_examples=20)
@given(written, written, sides())
def test_joined_masks_obey_the_laws_of_logic(first, second, tokens):
    (_, a), (_, b), (q_facts, k_facts, _, _) = first, second, tokens
    A, B = dense(a, q_facts, k_facts), dense(b, q_facts, k_facts)
    np.testing.assert_array_equal(dense(a & b, q_facts, k_facts), A & B)
    np.testing.assert_array_equal(dense(a | b, q_facts, k_facts), A | B)
    np.testing.assert_array_equal(dense(~(a | b), q_facts, k_facts), ~A & ~B)
    np.testing.assert_array_equal(dense(a & (a | b), q_facts, k_facts), A)
    np.testing.assert_array_equal(dense(a | (a & b), q_facts, k_facts), A)
    assert dense(a | ~a, q_facts, k_facts).all()


@settings(max_examples=10)
@given(written, sides())
def test_scalars_arrays_and_jit_agree(expression, tokens):
    (_, mask), (q_facts, k_facts, _, _) = expression, tokens
    matrix = dense(mask, q_facts, k_facts)
    np.testing.assert_array_equal(jax.jit(masks.materialize, static_argnums=0)(mask, q_facts, k_facts), matrix)
    for t, s in (0, 0), (5, 2), (12, 16):
        q, k = (
            types.SimpleNamespace(**{name: int(getattr(facts, name)[0, at]) for name in NAMES})
            for facts, at in ((q_facts, t), (k_facts, s))
        )
        assert bool(masks.evaluate(mask, q, k)) == matrix[0, t, s]


@settings(max_examples=60)
@given(written, written)
def test_a_stored_mask_comes_back_equal_and_reads_the_same(first, second):
    mask = ~(first[1] | (second[1] & masks.window(3)))
    back = masks.from_json(json.loads(json.dumps(masks.to_json(mask))))
    assert back == mask
    assert hash(back) == hash(mask)
    assert repr(back) == repr(mask)
