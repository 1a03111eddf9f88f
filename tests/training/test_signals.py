"""The first signal asks, the second one ends, and joined processes stop at one step."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import jax
import pytest
from jax.experimental import multihost_utils

from hybridlm.config.exit_codes import ExitCode
from hybridlm.training import signals
from hybridlm.training.signals import Preempted, Preemption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_asked_for_not_obeyed(number, capfd):
    with Preemption() as preemption:
        assert not preemption.requested
        os.kill(os.getpid(), number)
        assert preemption.requested
        assert preemption.requested, "a request is never taken back"
    assert f"{number.name}: saving, then stopping; send it again to stop at once" in capfd.readouterr().err


@pytest.fixture
def listening():
    """A process that was started in the background may have been told to ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
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


COMPILING = """
import hashlib, sys, threading, time
from hybridlm.training import signals
from hybridlm.training.signals import Preemption
signals.PATIENCE = 0.2
def settle():
    time.sleep(0.3)
    print("saved", flush=True)
with Preemption() as preemption, preemption.nothing_to_save("stopped while starting.", settle):
    threading.Timer(0.5, print, ["compiling"], {"flush": True}).start()  # when it does
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes, in which no Python handler runs
"""


def test_where_nothing_is_to_be_saved_a_signal_ends_the_process_even_while_it_compiles():
    program = [sys.executable, "-c", COMPILING]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "compiling\n"
        process.terminate()
        out, said = process.communicate(timeout=20)
    assert process.returncode == ExitCode.PREEMPTED
    assert out == "saved\n", "what must not be cut off is awaited"
    assert said == "hybridlm: stopped while starting.\n"


def test_there_it_interrupts_what_can_be_interrupted(monkeypatch):
    monkeypatch.setattr(signals, "PATIENCE", 0.0)
    cleaned = []
    with pytest.raises(Preempted, match="step 7 is saved"), Preemption() as preemption:
        monkeypatch.setattr(signals.os, "_exit", lambda code: pytest.fail("it had left by itself"))
        with preemption.nothing_to_save("step 7 is saved.", lambda: time.sleep(0.2)), contextlib.ExitStack() as stack:
            stack.callback(cleaned.append, "workers are gone")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
    assert cleaned == ["workers are gone"]


def test_such_a_place_is_not_entered_once_a_signal_has_come():
    with Preemption() as preemption:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Preempted, match="step 7 is saved"), preemption.nothing_to_save("step 7 is saved."):
            pytest.fail("it was entered")
        with pytest.raises(Preempted, match="no longer"):
            preemption.stop_waiting("no longer waiting.")


def test_without_a_signal_nothing_happens_there():
    with Preemption() as preemption:
        with preemption.nothing_to_save("never."):
            preemption.stop_waiting("never.")
        assert not preemption.requested
    assert not any(thread.name == "preemption" for thread in threading.enumerate())


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
