import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.scoring.sums import category_sums

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
