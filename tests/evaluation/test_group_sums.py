"""Sums by group and label are those of a plain loop, however few groups the devices hold at once."""

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.evaluation import group_sums
from hybridlm.evaluation.group_sums import GroupSums

LABELS = 4


def batches(count):
    """Groups with large numbers, labels in two families, and two values that are counted apart from each other."""
    dice = np.random.default_rng(0)
    for _ in range(count):
        group_BT = dice.integers(0, 9, (3, 5)) * 1000
        labels_MBT = np.stack([np.zeros((3, 5), int), dice.integers(1, LABELS, (3, 5))])
        values_KBT, is_counted_BT = dice.normal(size=(2, 3, 5)).astype(np.float32), dice.random((3, 5)) < 0.7
        yield group_BT, labels_MBT, values_KBT, is_counted_BT


def summed(count, capacity):
    sums = GroupSums([2, 1], LABELS, capacity)
    for group_BT, labels_MBT, values_KBT, is_counted_BT in batches(count):
        first = (jnp.asarray(values_KBT), jnp.asarray(is_counted_BT))
        second = (jnp.asarray(values_KBT[:1]), jnp.asarray(~is_counted_BT))
        sums.add(group_BT, jnp.asarray(labels_MBT), [first, second])
    return sums.read()


@pytest.fixture(autouse=True)
def compiled_anew():
    """A program keeps how many tokens it adds at once."""
    group_sums._added.clear_cache()


@pytest.fixture(scope="module")
def expected():
    """Group, label -> both totals and the count of the first column."""
    found = {}
    for group_BT, labels_MBT, values_KBT, is_counted_BT in batches(5):
        for place in zip(*np.nonzero(is_counted_BT)):
            for label in labels_MBT[:, *place]:
                cell = found.setdefault((group_BT[place], label), np.zeros(3))
                cell += [*values_KBT[:, *place], 1]
    return found


@pytest.mark.parametrize(("capacity", "tokens"), [(1024, 2**15), (2, 2**15), (1024, 4)])
def test_sums_are_those_of_a_loop(expected, monkeypatch, capacity, tokens):
    monkeypatch.setattr(group_sums, "TOKENS", tokens)
    groups, [(total_KNC, count_NC), (_, others_NC)] = summed(5, capacity)
    assert groups.tolist() == sorted(groups.tolist())
    for row, group in enumerate(groups):
        for label in range(LABELS):
            cell = expected.get((group, label), np.zeros(3))
            np.testing.assert_allclose(total_KNC[:, row, label], cell[:2], rtol=1e-6, atol=1e-7)
            assert count_NC[row, label] == cell[2]
    assert count_NC[:, 0].sum() + others_NC[:, 0].sum() == 5 * 3 * 5


def test_the_host_keeps_what_the_devices_have_no_room_for():
    groups, (few, _) = summed(5, 2)
    again, (many, _) = summed(5, 1024)
    np.testing.assert_array_equal(groups, again)
    np.testing.assert_allclose(few[0], many[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(few[1], many[1])


@pytest.mark.parametrize("capacity", [2, 1024])
def test_sums_go_on_from_their_state_with_the_same_bits(capacity):
    whole, begun, later = (GroupSums([2, 1], LABELS, capacity) for _ in range(3))
    for number, (group_BT, labels_MBT, values_KBT, is_counted_BT) in enumerate(batches(5)):
        columns = [(jnp.asarray(values), jnp.asarray(is_counted_BT)) for values in (values_KBT, values_KBT[:1])]
        for sums in (whole, begun if number < 3 else later):
            sums.add(group_BT, jnp.asarray(labels_MBT), columns)
        if number == 2:
            later.restore(begun.state())
    groups, expected = whole.read()
    again, found = later.read()
    np.testing.assert_array_equal(groups, again)
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])


def test_nothing_summed_is_a_state_too():
    sums = GroupSums([1], LABELS)
    sums.restore(GroupSums([1], LABELS).state())
    groups, [(total_KNC, count_NC)] = sums.read()
    assert groups.size == total_KNC.size == count_NC.size == 0
