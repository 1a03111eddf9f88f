import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.scoring import accumulator
from hybridlm.scoring.sums import CategorySums


def test_a_compiled_run_of_batches_loses_nothing_that_float32_loses():
    batches = 20_000
    totals_NPC = np.random.default_rng(0).uniform(1e5, 3e5, size=(batches, 1, 2)).astype(np.float32)
    counts_NPC = jnp.full(totals_NPC.shape, 65_536, jnp.int32)

    @jax.jit
    def run(totals_NPC):
        def step(state, batch):
            running, naive_PC = state
            return (accumulator.add(running, CategorySums(*batch)), naive_PC + batch[0]), None

        start = (accumulator.empty(1, 2), jnp.zeros((1, 2)))
        return jax.lax.scan(step, start, (totals_NPC, counts_NPC))[0]

    running, naive_PC = run(totals_NPC)
    total_PC, count_PC = accumulator.read(running)
    exact_PC = totals_NPC.astype(np.float64).sum(0)
    assert np.abs(total_PC / exact_PC - 1).max() < 1e-11
    assert np.abs(np.asarray(naive_PC) / exact_PC - 1).max() > 1e-8
    np.testing.assert_array_equal(count_PC, 65_536 * batches)
    assert 65_536 * batches > 2**30


def test_counts_carry_past_32_bits():
    most = CategorySums(jnp.zeros((1, 1)), jnp.full((1, 1), 2**30 - 1, jnp.int32))
    running, add = accumulator.empty(1, 1), jax.jit(accumulator.add)
    for _ in range(9):
        running = add(running, most)
    assert accumulator.read(running)[1].item() == 9 * (2**30 - 1)


def test_small_sums_survive_beside_large_ones():
    one, large = (CategorySums(jnp.full((1, 1), x), jnp.ones((1, 1), jnp.int32)) for x in (1.0, 2.0**30))
    running, add = accumulator.empty(1, 1), jax.jit(accumulator.add)
    for sums in (one, large, one, one, large):
        running = add(running, sums)
    total_PC, count_PC = accumulator.read(running)
    assert total_PC.item() == 2**31 + 3
    assert count_PC.item() == 5


def test_several_values_share_one_count():
    sums = CategorySums(jnp.array([[[1.0]], [[10.0]]]), jnp.array([[3]], jnp.int32))
    running = accumulator.add(accumulator.add(accumulator.empty(1, 1, (2,)), sums), sums)
    total_KPC, count_PC = accumulator.read(running)
    assert total_KPC.ravel().tolist() == [2, 20]
    assert count_PC.tolist() == [[6]]
