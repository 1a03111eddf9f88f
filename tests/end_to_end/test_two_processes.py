"""A run of two processes, each with a device of its own, is the run of one process that has both."""

import signal
import socket
import time

import pytest

from hybridlm.config.exit_codes import ExitCode
from tests.end_to_end.command import Command, log_of
from tests.end_to_end.results import lines, scores

pytestmark = pytest.mark.slow


def start_two(command, workdir, second=None):
    """Two processes of a command, or one each of two that differ."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    return [
        one.start(workdir, JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES=2, JAX_PROCESS_ID=number)
        for number, one in enumerate((command, second or command))
    ]


def test_two_processes_compute_what_one_does(tmp_path):
    command = Command(tmp_path, {})
    assert command.start(tmp_path / "one", JAX_NUM_CPU_DEVICES=2).wait() == ExitCode.DONE
    two = start_two(command, tmp_path / "two")
    assert [process.wait() for process in two] == [ExitCode.DONE] * 2, log_of(tmp_path / "two").read_text()
    for ours, theirs in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    (columns, rows), (expected_columns, expected_rows) = scores(tmp_path / "two"), scores(tmp_path / "one")
    assert len(columns) == len(expected_columns)
    for ours, theirs in zip(rows, expected_rows, strict=True):
        assert (ours["label"], ours["tokens"]) == (theirs["label"], theirs["tokens"])
        assert ours["mean"] == pytest.approx(theirs["mean"], rel=1e-5)


def test_a_notice_to_both_stops_both_at_one_step(tmp_path):
    command = Command(tmp_path, {"training.steps": 3000})
    both = start_two(command, tmp_path / "run")
    while not (tmp_path / "run" / "checkpoints" / "5").exists():
        assert [process.poll() for process in both] == [None, None], log_of(tmp_path / "run").read_text()
        time.sleep(0.1)
    for process in both:
        process.send_signal(signal.SIGTERM)
    assert [process.wait() for process in both] == [ExitCode.PREEMPTED] * 2
    said = log_of(tmp_path / "run").read_text()
    stops = [line for line in said.splitlines() if line.startswith("hybridlm: stopped at step")]
    assert len(stops) == 2 and len(set(stops)) == 1
