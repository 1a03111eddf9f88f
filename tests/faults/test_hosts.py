"""What happens to one of two processes happens to the run: on one machine, each process with a device of its own."""

import json
import shutil
import signal
import time

import pytest

from hybridlm.config.exit_codes import ExitCode
from tests.end_to_end.command import Command, log_of
from tests.end_to_end.results import lines
from tests.end_to_end.test_two_processes import start_two
from tests.faults import small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LONG = {"training.steps": 20_000, "checkpoint.every": 20, "training.log_every": 10}


def wait_for_checkpoint(directory, processes, after=0):
    """Until a checkpoint later than `after` is sealed; returns its step."""
    while True:
        assert [process.poll() for process in processes] == [None] * len(processes), log_of(directory).read_text()
        manifests = (directory / "checkpoints").glob("[0-9]*/manifest.json")
        newest = max((int(path.parent.name) for path in manifests if path.parent.name.isdecimal()), default=0)
        if newest > after:
            return newest
        time.sleep(0.05)


def test_a_notice_to_one_stops_both_at_one_step(tmp_path):
    both = start_two(Command(tmp_path, LONG, small.__file__), tmp_path / "run")
    wait_for_checkpoint(tmp_path / "run", both)
    both[1].send_signal(signal.SIGTERM)
    assert [process.wait() for process in both] == [ExitCode.PREEMPTED] * 2
    said = log_of(tmp_path / "run").read_text().splitlines()
    (stop,) = {line for line in said if line.startswith("hybridlm: stopped at step")}
    assert (tmp_path / "run" / "checkpoints" / stop.split()[4] / "manifest.json").exists()


def test_a_notice_to_one_that_compiles_is_answered_by_both_after_the_first_step(tmp_path):
    """Joined processes hear it between two steps, and nothing is lost: what they save is the step just taken."""
    both = start_two(Command(tmp_path, LONG, small.__file__), tmp_path / "run")
    while not (tmp_path / "run" / "config.json").exists():  # the step is compiled after that
        assert [process.poll() for process in both] == [None, None], log_of(tmp_path / "run").read_text()
        time.sleep(0.01)
    both[1].send_signal(signal.SIGTERM)
    begun = time.monotonic()
    assert [process.wait() for process in both] == [ExitCode.PREEMPTED] * 2
    print(f"answered after {time.monotonic() - begun:.1f} s")
    said = log_of(tmp_path / "run").read_text()
    assert "stopped at step 1 with its state saved" in said
    assert (tmp_path / "run" / "checkpoints" / "1" / "manifest.json").exists()


@pytest.mark.parametrize("dying", [0, 1], ids=["the coordinator", "the other"])
def test_a_dead_peer_ends_the_other_and_the_run_goes_on(tmp_path, dying):
    command, directory = Command(tmp_path, LONG, small.__file__), tmp_path / "run"
    both = start_two(command, directory)
    saved = wait_for_checkpoint(directory, both)
    begun = time.monotonic()
    both[dying].kill()
    both[dying].wait()
    assert both[1 - dying].wait() not in (0, ExitCode.CONFIG, ExitCode.DIVERGED), "a launcher tries again"
    detected = time.monotonic() - begun
    again = start_two(command, directory)
    wait_for_checkpoint(directory, again, after=saved)
    back = time.monotonic() - begun
    for process in again:
        process.kill()
        process.wait()
    print(f"detected after {detected:.1f} s, next checkpoint after {back:.1f} s")


def test_hosts_that_disagree_are_named_before_the_first_step(tmp_path):
    one, other = (Command(tmp_path, LONG | {"seed": seed}, small.__file__) for seed in (0, 1))
    both = start_two(one, tmp_path / "run", other)
    assert [process.wait() for process in both] == [ExitCode.CONFIG] * 2
    said = log_of(tmp_path / "run").read_text()
    assert said.count("process 1 (") >= 2 and "has another config: " in said
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_process_that_stands_still_is_missed_by_the_other(tmp_path):
    """It is stopped, as a machine that swaps would be: the other waits in a collective until no heartbeat comes."""
    both = start_two(Command(tmp_path, LONG, small.__file__), tmp_path / "run")
    wait_for_checkpoint(tmp_path / "run", both)
    both[1].send_signal(signal.SIGSTOP)
    assert both[0].wait() not in (0, ExitCode.CONFIG, ExitCode.DIVERGED)
    both[1].kill()
    both[1].wait()
    assert "stopped sending heartbeats" in log_of(tmp_path / "run").read_text()


def test_a_change_of_the_number_of_hosts_changes_no_batch(tmp_path):
    """Two processes begin and one goes on with both devices: every loss as if one had done it all, but for rounding."""
    changes = {"training.steps": 40, "checkpoint.every": 20, "training.log_every": 1}
    command = Command(tmp_path, changes, small.__file__)
    assert command.start(tmp_path / "one", JAX_NUM_CPU_DEVICES=2).wait() == ExitCode.DONE
    two = start_two(command, tmp_path / "two")
    assert [process.wait() for process in two] == [ExitCode.DONE] * 2, log_of(tmp_path / "two").read_text()
    shutil.rmtree(tmp_path / "two" / "checkpoints" / "40")
    assert command.start(tmp_path / "two", JAX_NUM_CPU_DEVICES=2).wait() == ExitCode.DONE
    for ours, theirs in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 1
