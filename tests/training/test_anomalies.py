"""What is odd is told once, with the same judgement after a restart."""

import json

import numpy as np
import pytest
from etils import epath

from hybridlm.training import anomalies
from hybridlm.training.anomalies import WINDOW, Window

CALM = [(2.0 + 0.1 * (n % 2), 1.0) for n in range(WINDOW)]
"""Losses of mean 2.05 and deviation 0.05."""


def judged(window, steps):
    return {number: odd for number, step in enumerate(steps) if (odd := window.judge(*step))}


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ((np.nan, 1.0), "loss is nan"),
        ((2.0, np.inf), "gradient norm is inf"),
        ((2.36, 1.0), "loss is 2.36, 6.2 deviations above its mean"),
    ],
)
def test_what_is_not_finite_or_far_above_is_odd(step, says):
    assert judged(Window(6.0), [*CALM, step]) == {WINDOW: says}


def test_a_loss_far_below_or_a_little_above_is_not():
    assert judged(Window(6.0), [*CALM, (0.1, 1.0), (2.3, 1.0)]) == {}


def test_nothing_is_a_spike_before_there_is_a_past_or_when_nobody_asks():
    assert judged(Window(6.0), [*CALM[: WINDOW // 2 - 1], (99.0, 1.0)]) == {}
    assert judged(Window(6.0), [*CALM[: WINDOW // 2], (99.0, 1.0)]) != {}
    assert judged(Window(0.0), [*CALM, (99.0, 1.0)]) == {}


def test_of_odd_steps_in_a_row_the_first_is_told():
    bad = (np.nan, np.nan)
    assert list(judged(Window(6.0), [bad, bad, *CALM, bad, bad])) == [0, WINDOW + 2]


def test_a_step_that_is_not_finite_is_told_behind_a_spike_too():
    """It changed nothing, and the loss that led there is another matter."""
    spike, bad = (99.0, 1.0), (np.nan, 1.0)
    assert list(judged(Window(6.0), [*CALM, spike, bad, bad])) == [WINDOW, WINDOW + 1]
    assert list(judged(Window(6.0), [*CALM, bad, spike, spike])) == [WINDOW, WINDOW + 1]


@pytest.mark.parametrize("was_odd", [False, True])
def test_what_an_earlier_version_remembered_is_read(was_odd):
    """It kept whether the last step was odd, and not how: better told twice than not."""
    window = Window(6.0, {"values": CALM, "was_odd": was_odd})
    assert list(judged(window, [(np.nan, 1.0), (np.nan, 1.0)])) == [0]
    assert list(judged(Window(6.0, {"values": CALM, "was_odd": was_odd}), [CALM[0], (99.0, 1.0)])) == [1]


def rises(losses):
    """The steps at which a loss has gone up and stays."""
    window = Window(6.0)
    return [n for n, loss in enumerate(losses, 1) if window.judge(loss, 1.0) is not None and window.risen()]


def test_a_loss_that_stays_up_has_risen_and_one_that_comes_back_has_not():
    """By four of its deviations of 0.05: too little for a spike, and no chance over sixteen steps."""
    calm = [loss for loss, _ in CALM]
    up = [loss + 0.2 for loss in calm]
    assert rises(calm + up)[0] == WINDOW + 8, "when half of the last sixteen are up"
    assert rises(calm + [99.0] * 7 + calm) == [], "fewer than half of sixteen say nothing, however high"
    assert rises([loss - 0.02 * n for n, loss in enumerate(calm + calm)]) == []
    assert rises(calm[: WINDOW // 2] + up[:15]) == [], "nor does a past of fewer than 64 steps"


def test_a_rise_says_from_where_to_where():
    window = Window(6.0)
    for loss, norm in CALM + [(3.05, 1.0)] * 16:
        window.judge(loss, norm)
    assert window.risen() == "its median over the last 16 steps is 3.05, after 2.05 on average"
    assert Window(0.0, window.state).risen() == "", "nobody asks"


@pytest.mark.parametrize("stop", [1, 70, WINDOW, WINDOW + 1, WINDOW + 3])
def test_a_resumed_run_finds_the_same(stop):
    steps = [*CALM, (99.0, 1.0), (99.0, 1.0), (np.nan, 1.0), (np.nan, 1.0), (2.0, 1.0), (np.nan, 1.0)]
    first = Window(6.0)
    found = judged(first, steps[:stop])
    second = Window(6.0, json.loads(json.dumps(first.state)))
    found |= {stop + number: odd for number, odd in judged(second, steps[stop:]).items()}
    assert found == judged(Window(6.0), steps)


def test_the_file_on_a_step_is_plain_json(tmp_path):
    directory = epath.Path(tmp_path)
    anomalies.write(directory, 7, {"loss": repr(float("nan")), "rows": [3, 1]})
    assert json.loads((directory / "anomalies" / "7.json").read_text(), parse_constant=pytest.fail) == {
        "step": 7,
        "loss": "nan",
        "rows": [3, 1],
    }
    assert anomalies.read(directory, 7)["rows"] == [3, 1]
    assert anomalies.read(directory, 8) is None
