"""Blocks as tables: the cost of place i in every context, held against sums over all orders, one by one."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hybridlm.scoring.order_mixture import exact_bound, order_mixture


def costs(nll, members, order):
    """What each token costs when those of `members` are revealed in an order."""
    hidden, found = sum(1 << place for place in members), {}
    for place in order:
        found[place] = nll[hidden - 1, place]
        hidden ^= 1 << place
    return found


def orders(nll, members):
    return [costs(nll, members, order) for order in itertools.permutations(members)]


def mixture(nll, members):
    """-log of the mean likelihood of all orders."""
    if not members:
        return 0.0
    return -math.log(np.mean([math.exp(-sum(found.values())) for found in orders(nll, members)]))


def shapley(nll, members, place):
    """What masking the place adds, averaged over the orders in which places may be masked."""
    found = []
    for order in itertools.permutations(members):
        before = order[: order.index(place)]
        found.append(mixture(nll, sorted((*before, place))) - mixture(nll, sorted(before)))
    return np.mean(found)


def table(places, seed=0):
    return np.random.default_rng(seed).exponential(2.0, (2**places - 1, places)).astype(np.float32)


@pytest.mark.parametrize("places", [1, 2, 3, 4])
def test_the_likelihood_is_the_mean_over_all_orders(places):
    nll, whole = table(places), range(places)
    found = order_mixture(jnp.asarray(nll), jnp.array(2**places - 1))
    np.testing.assert_allclose(found.nats, mixture(nll, whole), rtol=1e-5)
    expected = [shapley(nll, whole, place) for place in whole]
    np.testing.assert_allclose(found.by_place, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("places", [1, 2, 3, 4])
def test_the_bound_is_the_mean_cost_over_all_orders(places):
    nll, whole = table(places), range(places)
    found = exact_bound(jnp.asarray(nll), jnp.array(2**places - 1))
    expected = np.mean([[of_order[place] for place in whole] for of_order in orders(nll, whole)], axis=0)
    np.testing.assert_allclose(found.by_place, expected, rtol=1e-5)
    np.testing.assert_allclose(found.nats, expected.sum(), rtol=1e-5)


TABLES = arrays.arrays(np.float32, (7, 3), elements=st.floats(0, 50, width=32))


@settings(deadline=None, max_examples=60)
@given(TABLES, st.integers(0, 7))
def test_tokens_sum_to_their_block_and_the_likelihood_is_within_its_bound(nll, targets):
    nll, targets = jnp.asarray(nll), jnp.array(targets)
    exact, bound = order_mixture(nll, targets), exact_bound(nll, targets)
    np.testing.assert_allclose(exact.by_place.sum(), exact.nats, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(bound.by_place.sum(), bound.nats, rtol=1e-4, atol=1e-4)
    assert exact.nats <= bound.nats + 1e-3


def test_places_that_are_given_cost_nothing_and_what_is_said_of_them_is_not_read():
    """Block {0, 1, 2} of which 0 is given, as BOS is: the sets {1}, {2} and {1, 2} alone are read."""
    nll = table(3)
    spoilt = np.full_like(nll, 99.0)
    for masked in (0b010, 0b100, 0b110):
        spoilt[masked - 1, 1:] = nll[masked - 1, 1:]
    for estimate in (order_mixture, exact_bound):
        found = estimate(jnp.asarray(spoilt), jnp.array(0b110))
        assert found.by_place[0] == 0
        np.testing.assert_allclose(found.by_place, estimate(jnp.asarray(nll), jnp.array(0b110)).by_place, rtol=1e-6)
    np.testing.assert_allclose(
        order_mixture(jnp.asarray(spoilt), jnp.array(0b110)).nats, mixture(nll, (1, 2)), rtol=1e-5
    )


def test_where_all_orders_agree_the_likelihood_is_the_bound_token_by_token():
    """Conditionals of one joint law of two tokens: p(a) p(b | a) = p(b) p(a | b)."""
    joint = np.array([[0.5, 0.1], [0.1, 0.3]])
    a, b = joint.sum(1)[0], joint.sum(0)[1]
    nll = -np.log([[joint[0, 1] / b, 1.0], [1.0, joint[0, 1] / a], [a, b]]).astype(np.float32)
    exact, bound = (estimate(jnp.asarray(nll), jnp.array(0b11)) for estimate in (order_mixture, exact_bound))
    np.testing.assert_allclose(exact.nats, -math.log(joint[0, 1]), rtol=1e-6)
    np.testing.assert_allclose(exact.by_place, bound.by_place, rtol=1e-6)


def test_a_block_without_targets_costs_nothing():
    assert order_mixture(jnp.asarray(table(2)), jnp.array(0)).nats == 0
    assert exact_bound(jnp.asarray(table(2)), jnp.array(0)).nats == 0
