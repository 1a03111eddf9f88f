"""`run_tpu.sh local N`: what every process is told, where it speaks, and how all of them end."""

import pathlib
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]

PYTHON = """#!/usr/bin/env bash
case "$*" in "-m pip"*) exit ;; esac
echo "$JAX_PROCESS_ID of $JAX_NUM_PROCESSES at $JAX_COORDINATOR_ADDRESS gpu ${CUDA_VISIBLE_DEVICES-none}: $*"
trap 'kill $!; exit 75' TERM
[[ -z ${SLEEPS-} ]] || { touch "$READY.$JAX_PROCESS_ID"; sleep "$SLEEPS" & wait; }
exit "$(cut -d' ' -f$((JAX_PROCESS_ID + 1)) <<<"${EXITS:-0 0 0}")"
"""


class Machine:
    """A checkout with an environment whose Python is a shell script that says what it was told."""

    def __init__(self, tmp_path: pathlib.Path):
        self.project, self.logs, self.ready = tmp_path / "a project", tmp_path / "logs", tmp_path / "ready"
        (self.project / ".venv/bin").mkdir(parents=True)
        for name in ("run_tpu.sh", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project)
        python = self.project / ".venv/bin/python"
        python.write_text(PYTHON)
        python.chmod(0o755)

    def start(self, *words: str, **variables: str) -> subprocess.Popen:
        env = {"PATH": "/usr/bin:/bin", "HYBRIDLM_EXTRA": "", "HYBRIDLM_PORT": "21000"}
        env |= {"HYBRIDLM_LOGS": str(self.logs), "READY": str(self.ready)} | variables
        command = ["bash", str(self.project / "run_tpu.sh"), *words]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words: str, **variables: str) -> tuple[int, list[str]]:
        process = self.start(*words, **variables)
        out, _ = process.communicate(timeout=60)
        return process.returncode, out.splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_the_first_process_speaks_and_the_others_write_logs(machine):
    code, out = machine.run("local", "3", "module", "a b")
    assert (code, out) == (0, ["0 of 3 at localhost:21000 gpu none: -m module a b"])
    said = {path.name: path.read_text().strip() for path in machine.logs.iterdir()}
    assert said == {
        "host_1.log": "1 of 3 at localhost:21000 gpu none: -m module a b",
        "host_2.log": "2 of 3 at localhost:21000 gpu none: -m module a b",
    }


@pytest.mark.parametrize(("exits", "code"), [("0 0 0", 0), ("75 75 75", 75), ("0 64 0", 64), ("0 139 134", 139)])
def test_the_exit_code_is_that_of_the_first_that_fails(machine, exits, code):
    assert machine.run("local", "3", "module", EXITS=exits)[0] == code


def test_every_process_has_a_gpu_of_its_own_unless_asked_for_cpus(machine):
    assert machine.run("local", "2", "module", HYBRIDLM_EXTRA="cuda")[1][0].split()[6] == "0:"
    assert (machine.logs / "host_1.log").read_text().split()[6] == "1:"
    assert machine.run("local", "2", "module", HYBRIDLM_EXTRA="cuda", JAX_PLATFORMS="cpu")[1][0].split()[6] == "none:"


def test_a_notice_reaches_all_and_their_answer_comes_back(machine):
    process = machine.start("local", "2", "module", SLEEPS="60")
    while not all(machine.ready.with_name(f"ready.{number}").exists() for number in range(2)):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 75


def test_a_dry_run_prints_every_process_and_starts_none(machine):
    code, out = machine.run("--dry-run", "local", "2", "module", "a b")
    project = str(machine.project).replace(" ", r"\ ")
    assert (code, machine.logs.exists()) == (0, False)
    assert [line.replace(project, "PROJECT").strip() for line in out][-2:] == [
        "exec env JAX_COORDINATOR_ADDRESS=localhost:21000 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 "
        r"JAX_COORDINATOR_BIND_ADDRESS=localhost:21000 PROJECT/.venv/bin/python -m module a\ b",
        "exec env JAX_COORDINATOR_ADDRESS=localhost:21000 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=1 "
        r"JAX_COORDINATOR_BIND_ADDRESS=localhost:21000 PROJECT/.venv/bin/python -m module a\ b",
    ]


@pytest.mark.parametrize("words", [("local",), ("local", "module"), ("local", "0", "module"), ("local", "2")])
def test_a_number_and_a_module_are_needed(machine, words):
    assert machine.run(*words)[0] == 64
