"""run_tpu.sh against stand-ins for Python, pip and uv: what it runs, once, again, at once and after a failure."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).parents[2]

RECENT = """#!/usr/bin/env bash
case "$*" in
  *sys.executable*) echo "$0" && exit ;;  # a Python that is new enough
  "-m pip --version") exit ;;
  "-m pip install -qq --disable"*) sleep "${PIP_SLEEPS:-0}" ;;
esac
echo "$(basename "$0") $*" >>"$LOG"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install"*) exit "${PIP_EXITS:-0}" ;;
  "-m module"*) echo "in $PWD" >>"$LOG" && exit "${MODULE_EXITS:-0}" ;;
esac
"""
OLD = """#!/usr/bin/env bash
if [[ $1 == -c ]]; then exit 1; fi
echo "python3 $*" >>"$LOG"
case "$*" in "-m pip install"*) mkdir -p "$6/bin" && cp "$(dirname "$0")/../uv" "$6/bin/uv" ;; esac
"""
UV = """#!/usr/bin/env bash
echo "uv $*" >>"$LOG"
mkdir -p "${@: -1}/bin" && cp "$(dirname "$LOG")/recent" "${@: -1}/bin/python"
"""


class Machine:
    """A checkout at a path with spaces, and a PATH whose Pythons only write down what they are asked."""

    def __init__(self, tmp_path: pathlib.Path):
        self.project, self.path, self.cwd = tmp_path / "a project", tmp_path / "bin", tmp_path / "elsewhere"
        self.log, self.venv = tmp_path / "log", self.project / ".venv"
        for folder in (self.project, self.path, self.cwd):
            folder.mkdir()
        for name in ("run_tpu.sh", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project)
        self.install("../recent", RECENT)
        self.install("../uv", UV)
        for name in ("python3.12", "python3.13", "python3"):
            self.install(name, RECENT)

    def install(self, name: str, text: str):
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def start(self, *arguments: str, **variables: str | None) -> subprocess.Popen:
        env = {"PATH": f"{self.path}:/usr/bin:/bin", "LOG": str(self.log), "HYBRIDLM_EXTRA": ""} | variables
        env = {name: value for name, value in env.items() if value is not None}
        command = ["bash", str(self.project / "run_tpu.sh"), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.cwd, env=env, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str, **variables: str | None) -> tuple[int, str, str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def calls(self) -> list[str]:
        """What was asked of the stand-ins since the last look, with this machine's folders made readable."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return text.replace(str(self.project), "PROJECT").replace(str(self.cwd), "ELSEWHERE").splitlines()


CREATE = "python3.12 -m venv PROJECT/.venv"
INSTALL = "python -m pip install -qq --disable-pip-version-check --editable PROJECT[test]"
MODULE = ["python -m module", "in ELSEWHERE"]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_first_run_sets_up_and_the_second_only_runs(machine):
    assert machine.run("module") == (0, "", f"run_tpu.sh: setting up {machine.venv}, about a minute\n")
    assert machine.calls() == [CREATE, INSTALL, *MODULE]
    assert machine.run("module") == (0, "", "")
    assert machine.calls() == MODULE


def test_changed_setup_cfg_updates_the_same_environment(machine):
    machine.run("module")
    machine.calls()
    with (machine.project / "setup.cfg").open("a") as file:
        file.write("# another dependency\n")
    machine.run("module")
    assert machine.calls() == [INSTALL, *MODULE]


def test_failed_installation_runs_nothing_and_is_taken_up_again(machine):
    code, _, _ = machine.run("module", PIP_EXITS="3")
    assert code != 0
    assert machine.calls() == [CREATE, INSTALL]
    assert machine.run("module")[0] == 0
    assert machine.calls() == [INSTALL, *MODULE]


@pytest.mark.skipif(not shutil.which("flock"), reason="runs are only kept apart where there is flock")
def test_two_runs_at_once_set_up_once(machine):
    both = [machine.start("module", PIP_SLEEPS="0.5") for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(machine.calls()) == sorted([CREATE, INSTALL, *MODULE, *MODULE])


def test_arguments_and_exit_status_pass_through(machine):
    assert machine.run("module", "--a=b c", "*", MODULE_EXITS="75")[0] == 75
    assert machine.calls()[-2:] == ["python -m module --a=b c *", "in ELSEWHERE"]


def test_dry_run_prints_the_commands_and_changes_nothing(machine):
    before = sorted(machine.project.rglob("*"))
    code, out, _ = machine.run("--dry-run", "hybridlm", "train", "--config=a b.py", HYBRIDLM_EXTRA="tpu")
    project = str(machine.project).replace(" ", r"\ ")
    assert code == 0
    assert out.replace(project, "PROJECT").replace(str(machine.path), "BIN").splitlines() == [
        "BIN/python3.12 -m venv PROJECT/.venv ",
        r"PROJECT/.venv/bin/python -m pip install -qq --disable-pip-version-check --editable PROJECT\[test\,tpu\] ",
        r"exec PROJECT/.venv/bin/python -m hybridlm train --config=a\ b.py ",
    ]
    assert (machine.calls(), sorted(machine.project.rglob("*"))) == ([], before)


def test_environment_variables_choose_place_and_extras(machine, tmp_path):
    elsewhere = tmp_path / "other environment"
    machine.run("module", HYBRIDLM_VENV=str(elsewhere), HYBRIDLM_EXTRA="cuda12,wandb")
    assert machine.calls()[1] == INSTALL.replace("[test]", "[test,cuda12,wandb]")
    assert (elsewhere / "ready").exists()
    assert not machine.venv.exists()


def test_an_environment_of_another_checkout_is_refused_and_left_as_it_is(machine, tmp_path):
    other = tmp_path / "other clone"
    shutil.copytree(machine.project, other)
    shared = tmp_path / "shared"
    machine.run("module", HYBRIDLM_VENV=str(shared))
    machine.project, first = other, machine.project
    machine.calls()
    code, out, err = machine.run("module", HYBRIDLM_VENV=str(shared))
    assert (code, out, machine.calls()) == (1, "", [])
    assert err == (
        f"run_tpu.sh: {shared} runs the code of {first}, not of {other}. Give each checkout an environment of its own: "
        "unset HYBRIDLM_VENV, or set it to another directory.\n"
    )
    shutil.rmtree(first)
    assert machine.run("module", HYBRIDLM_VENV=str(shared))[0] == 0  # of a checkout that is gone, or was moved
    assert machine.calls() == [INSTALL, *MODULE]


def test_nvidia_hardware_installs_cuda(machine):
    machine.install("nvidia-smi", RECENT)
    machine.run("module", HYBRIDLM_EXTRA=None)
    assert machine.calls()[1] == INSTALL.replace("[test]", "[test,cuda]")


@pytest.mark.parametrize("has_uv", [True, False])
def test_uv_brings_a_python_where_the_machine_has_only_an_old_one(machine, has_uv):
    for name in ("python3.12", "python3.13", "python3"):
        machine.install(name, OLD)
    if has_uv:
        machine.install("uv", UV)
    assert machine.run("module")[0] == 0
    fetch = [] if has_uv else ["python3 -m pip install -qq --target PROJECT/.venv/uv uv"]
    create = "uv venv --quiet --seed --allow-existing --python 3.12 PROJECT/.venv"
    assert machine.calls() == [*fetch, create, INSTALL, *MODULE]


def test_without_any_python_it_says_what_to_install(machine):
    for name in ("python3.12", "python3.13", "python3", "uv"):
        machine.install(name, "#!/usr/bin/env bash\nexit 1\n")
    code, _, err = machine.run("module")
    assert code == 1
    assert err.splitlines()[-1] == (
        "run_tpu.sh: no Python >= 3.12 with venv was found, and uv could not bring one; install one, then run again."
    )


@pytest.mark.parametrize(("arguments", "code"), [([], 64), (["--config=x"], 64), (["--help"], 0)])
def test_usage_names_every_variable(machine, arguments, code):
    returned, out, _ = machine.run(*arguments)
    assert returned == code
    words = ("HYBRIDLM_VENV", "HYBRIDLM_EXTRA", "HYBRIDLM_LOGS", "--dry-run", "pytest", "launch", "local N")
    assert all(word in out for word in words)


@pytest.mark.parametrize("script", ["run_tpu.sh", "launch_tpu.sh", ".ci/run", "docs/pods/train.slurm"])
def test_shellcheck_finds_nothing(script):
    shellcheck = shutil.which("shellcheck", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    assert shellcheck, f"shellcheck comes with the test extra: {sys.executable} -m pip install -e .[test]"
    found = subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
