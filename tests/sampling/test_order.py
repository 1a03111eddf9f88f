"""Which tokens go first, by hand."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from hybridlm.sampling.order import ORDERS, entropy, foremost, within_bound

KEYS_B = jax.random.split(jax.random.key(0), 1)
P_TV = jnp.array([[0.50, 0.49, 0.01], [0.60, 0.20, 0.20], [0.40, 0.30, 0.30], [0.98, 0.01, 0.01]])
LOGITS_BTV = jnp.log(P_TV)[None]
DRAWN_BT = jnp.array([[0, 1, 0, 2]])
ALL_BT = jnp.ones((1, 4), bool)


@pytest.mark.parametrize(
    ("order", "places"),
    [
        ("left_to_right", [0, 1, 2, 3]),
        ("confidence", [0, 2, 1, 3]),  # 0.5, 0.2, 0.4, 0.01
        ("margin", [3, 1, 2, 0]),  # 0.01, 0.4, 0.1, 0.97
        ("entropy", [3, 0, 1, 2]),  # 0.74, 0.95, 1.09, 0.11
    ],
)
def test_orders(order, places):
    number_BT = ORDERS[order](KEYS_B, LOGITS_BTV, DRAWN_BT)
    chosen = [foremost(number_BT, ALL_BT, jnp.array([count]))[0] for count in range(5)]
    assert [int(jnp.argmax(later & ~earlier)) for earlier, later in itertools.pairwise(chosen)] == places


def test_any_token_goes_first_as_often_as_any_other():
    first = jax.jit(jax.vmap(lambda key: jnp.argmax(ORDERS["random"](key[None], LOGITS_BTV, DRAWN_BT))))
    counts = jnp.bincount(first(jax.random.split(jax.random.key(1), 4000)), length=4)
    assert (abs(counts - 1000) < 120).all()


def test_only_masked_tokens_are_chosen_and_of_equals_the_leftmost():
    is_masked_BT = jnp.array([[False, True, True, True], [True, False, False, False], [False] * 4])
    chosen_BT = foremost(jnp.zeros((3, 4)), is_masked_BT, jnp.array([2, 3, 1]))
    assert chosen_BT.astype(int).tolist() == [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_entropy_of_impossible_tokens_is_nothing():
    logits_BTV = jnp.array([[[0.0, -1e30], [0.0, 0.0]]])
    assert entropy(logits_BTV).tolist() == [[0.0, pytest.approx(0.6931, abs=1e-4)]]


@pytest.mark.parametrize(
    ("bound", "chosen"),
    [
        (0.0, [0, 1, 0, 0]),  # always the surest
        (0.1, [0, 1, 0, 1]),  # 0.1 before the second
        (0.35, [0, 1, 1, 1]),  # 0.3 before the third; the fourth token is written already
        (9.0, [0, 1, 1, 1]),
    ],
)
def test_tokens_are_sure_enough_together(bound, chosen):
    entropy_BT = jnp.array([[0.01, 0.1, 0.5, 0.2]])
    is_masked_BT = jnp.array([[False, True, True, True]])
    assert within_bound(entropy_BT, is_masked_BT, bound)[0].astype(int).tolist() == chosen
