import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.scoring.sums import LIMIT, category_sums, cluster_sums

SIZES = (3, 5, 2)  # labels of each family
C, PARTS, B, T = sum(SIZES), 2, 8, 50
OFFSETS = np.cumsum((0, *SIZES[:-1]))


def _batch(seed):
    random = np.random.default_rng(seed)
    labels_MBT = np.stack([offset + random.integers(size, size=(B, T)) for offset, size in zip(OFFSETS, SIZES)])
    value_BT = random.exponential(3, size=(B, T))
    return (
        jnp.asarray(labels_MBT, jnp.int32),
        jnp.asarray(random.integers(PARTS, size=B), jnp.int32),
        jnp.asarray(value_BT, jnp.float32),
        jnp.asarray(random.uniform(size=(B, T)) < 0.7),
    )


_sums = jax.jit(functools.partial(category_sums, parts=PARTS, categories=C), static_argnames="scatter")
both_ways = pytest.mark.parametrize("scatter", [True, False])


@both_ways
@pytest.mark.parametrize("seed", range(3))
def test_sums_are_those_of_a_loop(scatter, seed):
    batch = _batch(seed)
    labels_MBT, part_B, value_BT, is_counted_BT = map(np.asarray, batch)
    total_PC, count_PC = np.zeros((PARTS, C)), np.zeros((PARTS, C), int)
    for b, t in zip(*np.nonzero(is_counted_BT)):
        for label in labels_MBT[:, b, t]:
            total_PC[part_B[b], label] += value_BT[b, t]
            count_PC[part_B[b], label] += 1
    sums = _sums(*batch, scatter=scatter)
    np.testing.assert_allclose(sums.total_PC, total_PC, rtol=1e-6)
    np.testing.assert_array_equal(sums.count_PC, count_PC)


@both_ways
def test_every_family_adds_up_to_the_same_total(scatter):
    _, part_B, value_BT, is_counted_BT = batch = _batch(0)
    sums = _sums(*batch, scatter=scatter)
    for part in range(PARTS):
        in_part_BT = np.asarray(is_counted_BT) & (np.asarray(part_B) == part)[:, None]
        for offset, size in zip(OFFSETS, SIZES):
            family = slice(offset, offset + size)
            assert sums.count_PC[part, family].sum() == in_part_BT.sum()
            total = np.asarray(value_BT, np.float64)[in_part_BT].sum()
            assert np.asarray(sums.total_PC[part, family], np.float64).sum() == pytest.approx(total, rel=1e-6)


def test_a_value_that_is_not_counted_may_be_anything():
    labels_MBT, part_B, value_BT, is_counted_BT = _batch(1)
    sums = _sums(labels_MBT, part_B, jnp.where(is_counted_BT, value_BT, jnp.nan), is_counted_BT)
    assert np.isfinite(sums.total_PC).all()


@both_ways
def test_rows_spread_over_eight_devices_give_the_same_sums(scatter):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    batch = _batch(2)
    specs = (P(None, "data"), P("data"), P("data"), P("data"))
    spread = jax.device_put(batch, tuple(NamedSharding(mesh, spec) for spec in specs))
    here, there = _sums(*batch, scatter=scatter), _sums(*spread, scatter=scatter)
    np.testing.assert_allclose(there.total_PC, here.total_PC, rtol=1e-6)
    np.testing.assert_array_equal(there.count_PC, here.count_PC)


CLUSTERS = 3
_by_cluster = jax.jit(functools.partial(cluster_sums, clusters=CLUSTERS, categories=C))


def _cluster_batch(seed):
    labels_MBT, _, value_BT, is_counted_BT = _batch(seed)
    cluster_BT = jnp.asarray(np.random.default_rng(seed + 100).integers(CLUSTERS, size=(B, T)), jnp.int32)
    return labels_MBT, cluster_BT, jnp.stack([value_BT, -100 * value_BT, value_BT / 1000]), is_counted_BT


@pytest.mark.parametrize("seed", range(3))
def test_sums_by_cluster_are_those_of_a_loop_in_float64_rounded_once(seed):
    batch = _cluster_batch(seed)
    labels_MBT, cluster_BT, values_KBT, is_counted_BT = map(np.asarray, batch)
    total_KNC, count_NC = np.zeros((3, CLUSTERS, C)), np.zeros((CLUSTERS, C), int)
    for b, t in zip(*np.nonzero(is_counted_BT)):
        for label in labels_MBT[:, b, t]:
            total_KNC[:, cluster_BT[b, t], label] += values_KBT[:, b, t].astype(np.float64)
            count_NC[cluster_BT[b, t], label] += 1
    sums = _by_cluster(*batch)
    np.testing.assert_allclose(sums.total_PC, total_KNC, rtol=1e-7, atol=2**-30 * B * T)
    np.testing.assert_array_equal(sums.count_PC, count_NC)


def test_neither_the_order_of_tokens_nor_the_mesh_changes_a_byte_of_sums_by_cluster():
    batch = _cluster_batch(0)
    turned = [jnp.flip(x, (-2, -1)) for x in batch]
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    specs = (P(None, "data"), P("data"), P(None, "data"), P("data"))
    spread = jax.device_put(batch, tuple(NamedSharding(mesh, spec) for spec in specs))
    here = _by_cluster(*batch)
    for other in (_by_cluster(*turned), _by_cluster(*spread)):
        for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(other)):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_mean_is_weighted_by_tokens_not_by_losses():
    """Two tokens of 1 nat and one of 4 have the mean 2, whatever a parent's weights are taken from (levanter)."""
    value_KBT, labels_MBT = jnp.array([[[1.0, 1.0, 4.0]]]), jnp.array([[[0, 0, 1]]])
    sums = cluster_sums(labels_MBT, jnp.zeros((1, 3), int), value_KBT, jnp.ones((1, 3), bool), clusters=1, categories=2)
    assert sums.total_PC.sum() / sums.count_PC.sum() == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, LIMIT])
def test_a_value_that_cannot_be_summed_spoils_its_own_cells_alone(value):
    labels_MBT, cluster_BT = jnp.array([[[0, 0, 1]]]), jnp.zeros((1, 3), int)
    values_KBT = jnp.array([[[value, 1.0, 2.0]]])
    sums = cluster_sums(labels_MBT, cluster_BT, values_KBT, jnp.ones((1, 3), bool), clusters=1, categories=2)
    np.testing.assert_array_equal(sums.total_PC[0, 0], [np.nan, 2])


def test_tokens_of_no_cluster_are_left_out():
    labels_MBT, cluster_BT = jnp.zeros((1, 1, 4), int), jnp.array([[-1, 0, 1, 7]])
    values_KBT, everyone = jnp.ones((1, 1, 4)), jnp.ones((1, 4), bool)
    sums = cluster_sums(labels_MBT, cluster_BT, values_KBT, everyone, clusters=2, categories=1)
    assert sums.count_PC.ravel().tolist() == [1, 1]


@both_ways
def test_stretches_of_a_row_may_belong_to_parts_of_their_own(scatter):
    """Two rows of a clean and a noisy half; the clean halves are part 1, the noisy ones part 0."""
    value_BT = jnp.array([[1.0, 2.0, 10.0, 20.0], [4.0, 8.0, 40.0, 80.0]])
    parts_BX, labels_MBT = jnp.array([[1, 0], [1, 0]]), jnp.array([[[0, 1, 0, 1], [0, 1, 0, 1]]])
    is_counted_BT = jnp.array([[True, True, True, False], [True] * 4])
    sums = category_sums(labels_MBT, parts_BX, value_BT, is_counted_BT, parts=2, categories=2, scatter=scatter)
    assert sums.total_PC.tolist() == [[50, 80], [5, 10]]
    assert sums.count_PC.tolist() == [[2, 1], [2, 2]]
