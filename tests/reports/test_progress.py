"""A log gets few, complete lines; a terminal gets a bar; other processes get nothing."""

import io
import re
import sys
import time

import pytest

from hybridlm.reports import progress as module
from hybridlm.reports.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless its hand is moved."""
    hand = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: hand[0])
    return hand


def test_lines_say_how_far_and_how_long(capsys, clock):
    with progress("train", 100, start=40) as bar:
        for step in (50, 60, 100):
            clock[0] += 30.0
            bar.update(step, f"loss {step / 10}")
    assert capsys.readouterr().err.splitlines() == [
        "train 50/100  loss 5.0",
        "train 60/100  loss 6.0  0:02:00 left",
        "train 100/100  loss 10.0",
    ]


def test_what_is_known_late_is_told_of_the_step_it_is_known_of(capsys, clock):
    """Six steps of ten seconds each are taken; the numbers of every second one arrive a step later."""
    with progress("train", 6, every=None) as bar:
        for step, known in ((1, 0), (2, 0), (3, 2), (4, 0), (5, 4), (6, 6)):
            bar.update(step)
            if known:
                bar.update(known, f"loss {known}")
            clock[0] += 10.0
    assert capsys.readouterr().err.splitlines() == [
        "train 2/6  loss 2  0:01:20 left",
        "train 4/6  loss 4  0:00:27 left",
        "train 6/6  loss 6",
    ]


def test_a_line_each_so_many_steps_however_the_loop_strides(capsys):
    with progress("prepare", 25, every=10) as bar:
        for step in range(3, 26, 3):
            bar.update(step)
        bar.update(25)
    shown = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == ["12/25", "21/25", "25/25"]


def test_a_log_of_many_steps_has_about_ten_lines(capsys):
    with progress("read", 1000) as bar:
        for step in range(1, 1001):
            bar.update(step)
    shown = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == [f"{step}/1000" for step in range(100, 1001, 100)]


@pytest.fixture
def drawn(monkeypatch):
    """The last line of a bar in a terminal so wide, as words."""

    def draw(width, text):
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        with progress("training", 8) as bar:
            bar.update(8)
            bar.update(7, text)
        lines = [re.sub(r"\x1b\[[0-9;?]*\w", "", line).split() for line in terminal.getvalue().splitlines()]
        return [words for words in lines if words][-1]

    return draw


LOSSES = "nats per token: ar 4.09, prefix 3.93, block 4.05, masked 3.48; 24,062 tokens/s"


def test_a_terminal_gets_a_bar_with_time_left(drawn):
    words = drawn(140, LOSSES)
    assert words[0] == "training" and words[2:] == ["8/8", "0:00:00", "left", "step", "7:", *LOSSES.split()]


@pytest.mark.parametrize(("width", "shown"), [(110, "masked"), (80, "ar"), (50, "step"), (24, "left")])
def test_a_narrow_terminal_cuts_all_else_before_the_time_left(drawn, width, shown):
    words = drawn(width, LOSSES)
    time = words.index("0:00:00")
    assert words[time + 1] == "left" and any(word.startswith(shown) for word in words[time + 1 :])
    assert "tokens/s" not in words


def test_other_processes_are_silent(capsys, monkeypatch):
    monkeypatch.setattr(module, "is_primary", lambda: False)
    with progress("train", 2) as bar:
        bar.update(2, "loss 1.0")
    assert capsys.readouterr() == ("", "")
