"""Metrics: what a line says, and that getting it off the device costs the loop no wait."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import optax
import pytest

from hybridlm.scoring import accumulator
from hybridlm.scoring.sums import CategorySums
from hybridlm.training import logs, state

NAMES = ("ar", "masked")
LABELS = (("all", "all"), ("bracket", "none"), ("bracket", "open"))
TOTAL = jnp.array([[12.0, 9.0, 3.0], [5.0, 5.0, 0.0]])
COUNT = jnp.array([[4, 3, 1], [2, 2, 0]])


def with_sums(times=1):
    """A state that has seen the same sums so many times."""
    found = state.start({"w": jnp.zeros(2)}, optax.sgd(1.0), len(NAMES), len(LABELS))
    for _ in range(times):
        found = dataclasses.replace(found, sums=accumulator.add(found.sums, CategorySums(TOTAL, COUNT)))
    counters = {"bad": jnp.int32(3), "bad_in_row": jnp.int32(2)}
    return dataclasses.replace(found, grad_norm=jnp.float32(1.5), loss=jnp.float32(2.25), **counters)


def push(log, step, state):
    """One step and its line."""
    log.remember(state)
    return log.push(step, state)


@pytest.fixture
def log():
    return logs.Log(NAMES, LABELS, tokens_per_step=1000, flops=0.0)


def test_a_line_tells_means_by_objective_and_category(log):
    push(log, 5, with_sums(times=3))
    (logged,) = log.arrived(wait=True)
    assert (logged.step, logged.bad_in_row) == (5, 2)
    assert logged.scalars == {
        "loss/ar": 3.0,
        "nll/ar/bracket/none": 3.0,
        "nll/ar/bracket/open": 3.0,
        "loss/masked": 2.5,
        "nll/masked/bracket/none": 2.5,
        "train/loss": 2.25,
        "train/grad_norm": 1.5,
        "train/bad_steps": 3,
    }, "a label without tokens has no mean"


def test_filters_stand_behind_the_labels():
    log = logs.Log(NAMES, LABELS[:1], tokens_per_step=1000, flops=0.0, filters=("new_content", "copy5_only"))
    push(log, 5, with_sums())
    means = {name: value for name, value in log.arrived(wait=True)[0].scalars.items() if not name.startswith("train/")}
    assert means == {
        "loss/ar": 3.0,
        "filtered/ar/new_content": 3.0,
        "filtered/ar/copy5_only": 3.0,
        "loss/masked": 2.5,
        "filtered/masked/new_content": 2.5,
    }, "nothing passed the last filter"


def test_the_next_line_begins_anew_and_the_rest_of_the_state_stays(log):
    before = with_sums()
    after = push(log, 1, before)
    total, count = accumulator.read(after.sums)
    assert not total.any() and not count.any()
    assert (int(after.bad), int(after.bad_in_row)) == (3, 2)
    push(log, 2, dataclasses.replace(after, sums=accumulator.add(after.sums, CategorySums(2 * TOTAL, COUNT))))
    first, second = log.arrived(wait=True)
    assert (first.scalars["loss/ar"], second.scalars["loss/ar"]) == (3.0, 6.0)


def test_a_snapshot_outlives_the_state_it_was_taken_from(log):
    """A step may reuse the memory of the state it is given."""
    given = with_sums()
    after = push(log, 1, given)
    jax.tree.map(lambda x: x.delete(), (given.sums, given.grad_norm, after))
    assert log.arrived(wait=True)[0].scalars["loss/ar"] == 3.0


class Late(logs.Snapshot):
    """A snapshot still on its way; no pytree, so that it is asked itself."""

    has_come = False

    def is_ready(self):
        return type(self).has_come

    def copy_to_host_async(self):
        pass


def test_nothing_is_waited_for_unless_told_to(log, monkeypatch):
    snapshot, cleared = logs.take(with_sums(), jnp.zeros((1, 2)))
    monkeypatch.setattr(logs, "take", lambda *_: (Late(**vars(snapshot)), cleared))
    push(log, 1, with_sums())
    push(log, 2, with_sums())
    assert log.arrived() == []
    monkeypatch.setattr(Late, "has_come", True)
    assert [logged.step for logged in log.arrived()] == [1, 2]
    monkeypatch.setattr(Late, "has_come", False)
    push(log, 3, with_sums())
    assert [logged.step for logged in log.arrived(wait=True)] == [3]
    assert log.arrived(wait=True) == [], "each is told once"


def test_speed_is_known_from_the_second_line_on(log, monkeypatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    push(log, 1, with_sums())
    assert "perf/tokens_per_s" not in log.arrived(wait=True)[0].scalars
    push(log, 21, with_sums())
    scalars = log.arrived(wait=True)[0].scalars
    assert scalars["perf/tokens_per_s"] == pytest.approx(10_000)
    assert scalars["perf/step_ms"] == pytest.approx(100)
    assert "perf/mfu" not in scalars, "nobody knows what this machine could do at best"


def test_utilisation_is_work_over_what_the_devices_could_do(monkeypatch):
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(logs, "peak_flops", lambda: 1e12)
    log = logs.Log(NAMES, LABELS, tokens_per_step=1000, flops=1e11)
    for step in (1, 11):
        push(log, step, with_sums())
        (logged,) = log.arrived(wait=True)
    assert logged.scalars["perf/mfu"] == pytest.approx(10 * 1e11 / 2 / 1e12)


def test_the_summary_fits_a_progress_bar():
    scalars = {"loss/ar": 3.14159, "nll/ar/bracket/open": 1.0, "loss/masked": 2.0, "perf/tokens_per_s": 12345.6}
    assert logs.summary(scalars) == "nats per token: ar 3.14, masked 2.00; 12,346 tokens/s"
    assert logs.summary({"loss/ar": 3.0}) == "nats per token: ar 3.00"
