"""The first signal asks, the second one ends, and joined processes stop at one step."""

import os
import signal

import jax
import pytest
from jax.experimental import multihost_utils

from hybridlm.config.exit_codes import ExitCode
from hybridlm.training.signals import Preemption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_asked_for_not_obeyed(number, capfd):
    with Preemption() as preemption:
        assert not preemption.requested
        os.kill(os.getpid(), number)
        assert preemption.requested
        assert preemption.requested, "a request is never taken back"
    assert f"{number.name}: saving, then stopping; send it again to stop at once" in capfd.readouterr().err


def test_a_second_signal_has_its_old_meaning():
    with pytest.raises(KeyboardInterrupt), Preemption() as preemption:
        os.kill(os.getpid(), signal.SIGINT)
        assert preemption.requested
        os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Preemption():
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] != before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_joined_processes_ask_the_sync_point_and_leave_signals_to_it(monkeypatch):
    asked = []
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", lambda n: asked.append(n) or n == 3)
    before = signal.getsignal(signal.SIGTERM)
    with Preemption() as preemption:
        assert signal.getsignal(signal.SIGTERM) == before
        assert [preemption.requested for _ in range(5)] == [False, False, True, True, True]
    assert asked == [1, 2, 3], "the point lies at one number, and is not asked for again once it is reached"


def test_exit_codes_are_what_launchers_were_told():
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "CONFIG": os.EX_USAGE,
        "DIVERGED": os.EX_SOFTWARE,
        "IO": os.EX_IOERR,
        "PREEMPTED": os.EX_TEMPFAIL,
    }
