"""Which hidden token of a group is revealed next."""

import inspect

import jax.numpy as jnp

from hybridlm.scoring import orders


def test_the_surest_hidden_token_of_every_group_is_next_and_the_first_of_equals():
    sureness = jnp.array([[0.9, 0.2, 0.5, 0.5, 0.1, 0.8, 0.3]])
    hidden = jnp.array([[False, True, True, True, True, True, False]])
    group = jnp.array([[0, 0, 0, 0, 4, 4, 6]])
    found = orders.next_in_group(sureness, group, hidden)
    assert found.astype(int).tolist() == [[0, 0, 1, 0, 0, 1, 0]], "group 6 hides nothing"


def test_groups_of_other_rows_are_others():
    found = orders.next_in_group(jnp.array([[0.1, 0.2], [0.9, 0.8]]), jnp.zeros((2, 2), int), jnp.ones((2, 2), bool))
    assert found.astype(int).tolist() == [[0, 1], [1, 0]]


def test_no_order_reads_what_the_hidden_token_is():
    gold = {"nll", "rank", "margin", "is_correct", "brier", "gate"}
    for name, sureness in orders.SURENESS.items():
        assert not gold & set(sureness.__code__.co_names), name
        assert inspect.signature(sureness).parameters.keys() == {"scores"}
