"""Killed and stopped at random moments, a run ends as if it never had been."""

import pathlib
import random
import signal
import time

import jax
import numpy as np
from etils import epath

from hybridlm.config.exit_codes import ExitCode
from hybridlm.storage import workdir
from hybridlm.training.session import first_state, open_session
from tests.end_to_end.command import WHOLE, Command, log_of
from tests.end_to_end.results import lines, scores
from tests.fixtures.small_run import devices

CHANGES = {"training.steps": 150, "training.log_every": 5, "checkpoint.every": 10}


def wait_for_step(directory, after, process):
    """Until a checkpoint later than `after` is on disk, and a random moment longer; returns the newest one."""
    while process.poll() is None:
        names = {path.name for path in (directory / "checkpoints").glob("*")}
        steps = [int(name) for name in names if name.isdecimal() and f"{name}.saving" not in names]
        if max(steps, default=0) > after:
            time.sleep(random.uniform(0, 0.3))
            return max(steps)
        time.sleep(0.01)
    raise AssertionError(f"the run ended with {process.returncode}:\n{log_of(directory).read_text()}")


def last_state(directory: pathlib.Path):
    session = open_session(workdir.read_config(epath.Path(directory)), epath.Path(directory))
    return jax.device_get(first_state(session))


def test_killed_and_stopped_a_run_ends_as_if_it_never_had_been(tmp_path):
    command = Command(tmp_path, CHANGES)
    straight, interrupted = tmp_path / "straight", tmp_path / "interrupted"
    process = command.start(interrupted)
    seen = wait_for_step(interrupted, 0, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    undisturbed = command.start(straight, WHOLE)

    process = command.start(interrupted)
    wait_for_step(interrupted, seen, process)
    process.terminate()
    assert process.wait() == ExitCode.PREEMPTED
    said = log_of(interrupted).read_text()
    assert "SIGTERM: saving, then stopping" in said
    assert "with its state saved; run the same command again to go on." in said

    assert command.start(interrupted).wait() == ExitCode.DONE
    assert undisturbed.wait() == ExitCode.DONE
    assert "masked" in (straight / "report.html").read_text()
    assert lines(interrupted) == lines(straight)
    assert scores(interrupted) == scores(straight)
    with devices(1):
        jax.tree.map(np.testing.assert_array_equal, last_state(interrupted), last_state(straight))
