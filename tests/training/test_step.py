"""A step is one function of (state, batch): however it is cut into passes or spread over devices, and when it fails."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.mesh import MeshConfig
from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.config.storage import override
from hybridlm.data.stream import TrainStream
from hybridlm.evaluation import task as tasks
from hybridlm.scoring.accumulator import read
from hybridlm.sharding import placement
from hybridlm.sharding.mesh import AXES
from hybridlm.sharding.mesh import make as make_mesh
from hybridlm.training import optimizers
from hybridlm.training import state as states
from hybridlm.training import step as steps
from hybridlm.training.state import placed

STEPS = 3
TWO_KINDS = {"ar": autoregressive(ratio=2 / 3), "block": block_diffusion(8, ratio=1 / 3)}


@pytest.fixture(scope="module")
def two_kinds(experiment):
    """Rows of one and of two streams, 16 rows of the network a step, which every mesh of eight devices divides."""
    mixture = dataclasses.replace(experiment, objectives=TWO_KINDS)
    return override(mixture, {"model.layers": 1, "model.loop": "unroll"})


@pytest.fixture(scope="module")
def small(two_kinds, task):
    return dataclasses.replace(task, model=two_kinds.model)


@pytest.fixture(scope="module")
def batches(two_kinds, prepared):
    stream = TrainStream(prepared.rows("train"), seed=0, batch_rows=two_kinds.training.batch_rows)
    return [stream.batch(number) for number in range(STEPS)]


class Taker:
    """Takes steps on a mesh, and counts how often the step is traced."""

    def __init__(self, experiment, task, sizes=(1, 1, 1, 1, 1)):
        self.mesh = make_mesh(MeshConfig(**dict(zip(AXES, sizes))), jax.devices()[: math.prod(sizes)])
        optimizer = optimizers.make(experiment.optimizer, experiment.training.steps)
        step = steps.make(experiment, task, optimizer, **placement.spread_over(self.mesh))
        parts, labels = len(experiment.objectives), steps.label_count(experiment, task)
        self.fresh = lambda: states.start(tasks.init(task, jax.random.key(0)), optimizer, parts, labels)
        self.where = placed(jax.eval_shape(self.fresh), self.mesh)
        self.tables = placement.everywhere(task.tables, self.mesh)
        self.traces = 0

        def counted(*arguments):
            self.traces += 1
            return step(*arguments)

        self._step = jax.jit(counted, out_shardings=self.where)

    def start(self):
        return jax.device_put(self.fresh(), self.where)

    def place(self, batch):
        return placement.placer(self.mesh)(batch)

    def step(self, state, batch):
        return self._step(state, batch, self.tables)


@dataclasses.dataclass(frozen=True)
class Walk:
    """The state after a few steps, and by step the sums [P C] so far with their counts."""

    state: states.TrainState
    sums: list


def walk(taker, batches) -> Walk:
    state, sums = taker.start(), []
    for batch in batches:
        state = taker.step(state, taker.place(batch))
        sums.append(read(state.sums))
    return Walk(jax.device_get(state), sums)


@pytest.fixture(scope="module")
def alone(two_kinds, small):
    return Taker(two_kinds, small)


@pytest.fixture(scope="module")
def expected(alone, batches):
    return walk(alone, batches)


def assert_same_sums(found: Walk, expected: Walk):
    for (total, count), (expected_total, expected_count) in zip(found.sums, expected.sums, strict=True):
        np.testing.assert_array_equal(count, expected_count)
        np.testing.assert_allclose(total, expected_total, rtol=1e-5)


@pytest.mark.parametrize(
    "sizes", [(1, 8, 1, 1, 1), (1, 1, 8, 1, 1), (2, 2, 1, 2, 1), (1, 1, 4, 1, 2), (1, 2, 1, 2, 2)], ids=str
)
def test_every_mesh_takes_the_same_steps(two_kinds, small, batches, expected, sizes):
    found = walk(Taker(two_kinds, small, sizes), batches)
    assert_same_sums(found, expected)
    np.testing.assert_allclose(found.state.grad_norm, expected.state.grad_norm, rtol=1e-5)


def test_passes_over_parts_of_the_rows_add_up_to_one_step(two_kinds, small, alone, batches):
    """After one step Adam's first moment is the clipped gradient itself, times 1 - b1."""
    in_two = walk(Taker(override(two_kinds, {"training.accumulate": 2}), small), batches[:1])
    at_once = walk(alone, batches[:1])
    assert_same_sums(in_two, at_once)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(at_once.state.opt_state))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6 * largest)
    jax.tree.map(close, in_two.state.opt_state, at_once.state.opt_state)


def test_the_labels_of_every_family_share_out_the_total(expected, task):
    families = [family for family, _ in tasks.label_names(task.tables)]
    total_PC, count_PC = expected.sums[-1]
    assert count_PC[:, 0].min() > 0
    for family in dict.fromkeys(families):
        here = [name == family for name in families]
        np.testing.assert_array_equal(count_PC[:, here].sum(1), count_PC[:, 0])
        np.testing.assert_allclose(total_PC[:, here].sum(1), total_PC[:, 0], rtol=1e-6)


def test_a_filter_is_a_category_of_one_s_own(two_kinds, small, batches, expected):
    """Checked against the sums of the same step that are there without filters, which must not change."""
    filters = {"every": "all", "words": "word_band!=not_a_word", "digit": "digits={one, two}"}
    filtered = override(two_kinds, {"training.filters": filters})
    (total_PC, count_PC), (plain_PC, plain_count_PC) = walk(Taker(filtered, small), batches).sums[-1], expected.sums[-1]
    names = tasks.label_names(small.tables)
    np.testing.assert_array_equal(count_PC[:, : len(names)], plain_count_PC)
    np.testing.assert_allclose(total_PC[:, : len(names)], plain_PC, rtol=1e-6)
    words = [family == "word_band" and label != "not_a_word" for family, label in names]
    digit = [family == "digits" and label in ("one", "two") for family, label in names]
    for n, wanted in enumerate(([0], words, digit), len(names)):
        np.testing.assert_array_equal(count_PC[:, n], plain_count_PC[:, wanted].sum(1))
        np.testing.assert_allclose(total_PC[:, n], plain_PC[:, wanted].sum(1), rtol=1e-6)


def test_without_filters_nothing_is_summed_beside_the_labels(two_kinds, small, expected):
    assert steps.label_count(two_kinds, small) == len(tasks.label_names(small.tables)) == expected.sums[0][0].shape[1]


def test_a_step_is_traced_once_and_never_leaves_the_device(alone, batches, expected):
    state, placed = alone.start(), [alone.place(batch) for batch in batches]
    with jax.transfer_guard("disallow"):
        for batch in placed:
            state = alone.step(state, batch)
    assert int(state.step) == STEPS
    assert alone.traces == 1


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_a_step_that_is_not_finite_changes_only_its_counters(alone, batches, value):
    fresh = alone.start()
    params = fresh.params | {"head": {"bias": fresh.params["head"]["bias"].at[7].set(value)}}
    before = state = dataclasses.replace(fresh, params=params)
    for count in (1, 2):
        state = alone.step(state, alone.place(batches[0]))
        assert (int(state.bad_in_row), int(state.bad), int(state.step)) == (count, count, count)
    for name in ("params", "opt_state", "sums"):
        jax.tree.map(np.testing.assert_array_equal, getattr(state, name), getattr(before, name))
    state = alone.step(dataclasses.replace(state, params=fresh.params), alone.place(batches[0]))
    assert (int(state.bad_in_row), int(state.bad)) == (0, 2), "a good step ends the row"
    assert int(read(state.sums)[1].sum()) > 0, "and is counted"
