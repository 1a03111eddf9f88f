"""Objects in processes of their own: they answer as they would here, and one that fails answers nothing."""

import time

import pytest

from benchmarks.elsewhere import Elsewhere, Here


@pytest.mark.parametrize("place", [Elsewhere, Here])
def test_an_object_elsewhere_keeps_its_state_between_calls(place):
    letters = place(list, "abca")
    assert letters.call("count", "a") == 2
    letters.call("remove", "a")
    letters.ask("count", "a")
    assert letters.answer() == 1
    letters.stop()


def test_one_that_fails_answers_nothing_from_then_on():
    letters = Elsewhere(list, "abc")
    assert letters.call("index", "z") is None
    assert letters.call("count", "a") is None
    letters.stop()


def test_one_that_is_not_ready_in_time_is_not_waited_for():
    asleep = Elsewhere(time.sleep, 600)
    asleep.ask("count", "a")
    assert asleep.answer(until=time.perf_counter()) is None
    asleep.stop()
