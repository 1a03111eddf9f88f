"""The templates of docs/pods, read as their schedulers read them: sizes agree, and every command is one we take."""

import math
import pathlib
import re
import shlex
import shutil
import subprocess
import sysconfig

import pytest
import yaml

from hybridlm.cli.main import main
from hybridlm.config.exit_codes import ExitCode
from hybridlm.sharding.mesh import refusal

PODS = pathlib.Path(__file__).parents[2] / "docs/pods"
SCRIPTS = sorted([*PODS.glob("*.sh"), *PODS.glob("*.slurm")])
JOBSETS = sorted(PODS.glob("*.yaml"))
FINAL = [ExitCode.CONFIG, ExitCode.DIVERGED]


@pytest.fixture(scope="module")
def shellcheck():
    return shutil.which("shellcheck", path=f"{sysconfig.get_path('scripts')}:/usr/bin:/usr/local/bin")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script, shellcheck):
    found = subprocess.run([shellcheck, script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def command(path: pathlib.Path) -> list[str]:
    """The arguments of hybridlm in a template."""
    if path.suffix == ".yaml":
        return container(yaml.safe_load(path.read_text()))["command"][3:]
    text = re.sub(r"\\\n\s*|\n  (?=--)", " ", path.read_text())
    return shlex.split(re.search(r"hybridlm (train [^\"\n)]+)", text)[1])


def devices(path: pathlib.Path) -> int:
    """How many chips a template asks for."""
    text = path.read_text()
    if path.suffix == ".yaml":
        job = replicated(yaml.safe_load(text))
        (chips,) = container(yaml.safe_load(text))["resources"]["limits"].values()
        return job["replicas"] * job["template"]["spec"]["completions"] * chips
    if path.suffix == ".slurm":
        return int(option(text, "nodes")) * int(option(text, "gpus-per-node"))
    slices = re.search(r"--num-slices=(\d+)", text)
    return int(re.search(r"v5litepod-(\d+)", text)[1]) * int(slices[1] if slices else 1)


def option(text: str, name: str) -> str:
    return re.search(rf"^#SBATCH --{name}=(\S+)", text, re.MULTILINE)[1]


def replicated(jobset: dict) -> dict:
    (job,) = jobset["spec"]["replicatedJobs"]
    return job


def container(jobset: dict) -> dict:
    (found,) = replicated(jobset)["template"]["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("path", [*SCRIPTS, *JOBSETS], ids=lambda path: path.name)
def test_the_run_fits_the_devices_that_are_asked_for(path, monkeypatch):
    """The command is one that the program takes, and its mesh has as many devices as the template asks for."""
    taken = []
    monkeypatch.chdir(PODS.parents[1])
    monkeypatch.setattr("hybridlm.training.run.train", lambda experiment, workdir: taken.append(experiment) or 0)
    assert main(command(path)) == 0
    (experiment,) = taken
    sizes = tuple(experiment.mesh.sizes.values())
    assert math.prod(sizes) == devices(path)
    assert refusal(sizes, experiment) == ""


@pytest.mark.parametrize("path", JOBSETS, ids=lambda path: path.name)
def test_a_jobset_retries_what_may_succeed_and_nothing_else(path):
    jobset = yaml.safe_load(path.read_text())
    spec = replicated(jobset)["template"]["spec"]
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "or Kubernetes takes no podFailurePolicy"
    (rule,) = spec["podFailurePolicy"]["rules"]
    exits = {"containerName": container(jobset)["name"], "operator": "In", "values": FINAL}
    assert rule == {"action": "FailJob", "onExitCodes": exits}
    assert jobset["spec"]["failurePolicy"]["rules"] == [
        {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    ]
    assert (spec["completionMode"], spec["backoffLimit"]) == ("Indexed", 0), "all hosts begin again together"
    assert spec["parallelism"] == spec["completions"]


def test_the_hosts_of_a_slice_have_its_chips():
    jobset = yaml.safe_load((PODS / "jobset_tpu.yaml").read_text())
    spec = replicated(jobset)["template"]["spec"]
    topology = spec["template"]["spec"]["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    chips = container(jobset)["resources"]["limits"]["google.com/tpu"]
    assert spec["completions"] * chips == math.prod(map(int, topology.split("x")))


def test_the_hosts_of_a_gpu_cluster_meet_at_the_first_pod():
    jobset = yaml.safe_load((PODS / "jobset_gpu.yaml").read_text())
    said = {entry["name"]: entry.get("value") for entry in container(jobset)["env"]}
    name, job = jobset["metadata"]["name"], replicated(jobset)["name"]
    assert said["JAX_COORDINATOR_ADDRESS"].startswith(f"{name}-{job}-0-0.{name}:")
    assert int(said["JAX_NUM_PROCESSES"]) == replicated(jobset)["template"]["spec"]["completions"]
    assert "JAX_PROCESS_ID" in said


def test_slurm_starts_a_task_for_every_gpu_and_leaves_time_to_save():
    text = (PODS / "train.slurm").read_text()
    assert option(text, "ntasks-per-node") == option(text, "gpus-per-node")
    assert option(text, "signal") == "TERM@120"
    assert "#SBATCH --requeue" in text


@pytest.mark.parametrize(
    ("code", "restarts", "is_requeued"),
    [(0, 0, False), (64, 0, False), (70, 0, False), (75, 99, True), (134, 0, True), (134, 20, False)],
)
def test_slurm_starts_again_what_may_succeed(tmp_path, code, restarts, is_requeued):
    for name, text in (("srun", f'[[ "$*" == *pip* ]] || exit {code}'), ("scontrol", f'echo "$*" >{tmp_path}/asked')):
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(restarts)}
    assert subprocess.run(["bash", PODS / "train.slurm"], env=env, cwd=tmp_path).returncode == code
    assert (tmp_path / "asked").exists() == is_requeued
    assert not is_requeued or (tmp_path / "asked").read_text() == "requeue 7\n"
