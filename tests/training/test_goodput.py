"""Every second belongs to one part, also across restarts."""

import jax
import jax.numpy as jnp
import pytest

from hybridlm.training.goodput import PARTS, Goodput


class Clock:
    """Says what it is set to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def seconds(goodput):
    """Parts that took any time."""
    told = {name.removeprefix("goodput/").removesuffix("_s"): value for name, value in goodput.scalars().items()}
    return {part: told[part] for part in PARTS if told[part]}


def test_time_belongs_to_the_innermost_part(clock):
    goodput = Goodput(clock)
    clock.now += 4
    with goodput.spent_on("step"):
        clock.now += 10
        with goodput.spent_on("data"):
            clock.now += 2
        clock.now += 10
    assert seconds(goodput) == {"init": 4, "data": 2, "step": 20}
    assert goodput.scalars()["goodput/share"] == pytest.approx(20 / 26)
    assert goodput.summary() == (
        "goodput 76.9%, the time of steps that count; "
        "init 4 s, compile 0 s, data 2 s, step 20 s, evaluation 0 s, checkpoint 0 s, lost 0 s, away 0 s"
    )


def test_what_a_killed_process_did_after_its_checkpoint_is_lost_and_so_is_the_time_until_the_next(clock):
    killed = Goodput(clock)
    with killed.spent_on("step"):
        clock.now += 30
        account = killed.account()
        clock.now += 7  # steps that nobody will ever see
    clock.now += 13  # nobody runs
    again = Goodput(clock)
    clock.now += 5
    again.resume(account)
    with again.spent_on("step"):
        clock.now += 10
    assert seconds(again) == {"init": 5, "step": 40, "lost": 20}
    assert sum(seconds(again).values()) == clock.now - 100, "all time since the very first start"


def test_between_a_stop_that_saved_and_the_next_start_the_run_was_away(clock):
    stopped = Goodput(clock)
    with stopped.spent_on("step"):
        clock.now += 30
    account = stopped.account(is_stop=True)
    clock.now += 3600
    again = Goodput(clock)
    clock.now += 10
    again.resume(account)
    assert seconds(again) == {"init": 10, "step": 30, "away": 3600}
    assert again.scalars()["goodput/share"] == pytest.approx(30 / 40)


def test_compiling_is_told_apart_from_what_it_was_done_for(clock):
    goodput = Goodput(clock)
    with goodput.spent_on("step"), goodput.counting_compilation():
        clock.now += 9
        goodput._compiled("/jax/core/compile/jaxpr_trace_duration", 2.0)  # traced inside ...
        clock.now += 1
        goodput._compiled("/jax/core/compile/jaxpr_trace_duration", 5.0)  # ... this one
        goodput._compiled("/some/other/duration", 3.0)
    assert seconds(goodput) == {"compile": 5, "step": 5}


def test_jax_tells_of_what_it_compiles():
    goodput = Goodput()
    with goodput.counting_compilation():
        jax.jit(lambda x: jnp.sin(x) + 12.25)(jnp.ones(3))
    compiled = seconds(goodput)["compile"]
    jax.jit(lambda x: jnp.sin(x) + 12.75)(jnp.ones(3))
    assert seconds(goodput)["compile"] == compiled > 0
