"""`run_tpu.sh launch` against a stand-in for gcloud that plays what clouds do: what it asks for, and when it stops."""

import pathlib
import re
import shutil
import subprocess
import tarfile
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]

GCLOUD = r"""#!/usr/bin/env bash
echo "$*" >>"$PLAY/calls"
next() { head -n1 "$PLAY/$1" 2>/dev/null; sed -i 1d "$PLAY/$1" 2>/dev/null; }
case "$*" in
  *tpu-vm\ describe*)
    state=$(next states)
    [[ $state == ABSENT ]] && echo "ERROR: NOT_FOUND: no such node" >&2 && exit 1
    [[ $state == BROKEN ]] && echo "ERROR: the network is down" >&2 && exit 1
    printf '%b\n' "$state" ;;
  *queued-resources\ describe*)
    state=$(next queue)
    [[ $state == ABSENT ]] && exit 1
    echo "$state" ;;
  *" create "*) [[ $(next creates) != full ]] ;;
  *follow*)
    echo "step 10 loss 3.2"
    end=$(next ends)
    [[ $end == lost ]] && exit 255
    echo "run_tpu.sh: ended with $end" ;;
esac
"""


class Laptop:
    """A checkout, and a gcloud on PATH whose answers are written beforehand, one a line."""

    def __init__(self, tmp_path: pathlib.Path):
        self.project, self.play, self.logs = tmp_path / "a project", tmp_path / "play", tmp_path / "logs"
        for folder in (self.project, self.play, tmp_path / "bin"):
            folder.mkdir()
        for name in ("run_tpu.sh", "launch_tpu.sh", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project)
        (self.project / "my config.py").touch()
        (self.project / "ignored").touch()
        (self.project / ".gitignore").write_text("ignored\n")
        subprocess.run(["git", "init", "-q"], cwd=self.project, check=True)
        (tmp_path / "bin" / "gcloud").write_text(GCLOUD)
        (tmp_path / "bin" / "gcloud").chmod(0o755)
        self.env = {
            "PATH": f"{tmp_path / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "PLAY": str(self.play),
            "HYBRIDLM_LOGS": str(self.logs),
            "PAUSE": "0",
            "TPU_NAME": "pod",
            "ZONE": "z",
            "ACCELERATOR_TYPE": "v5litepod-8",
        }

    def launch(self, *words: str, plays: dict[str, str] | None = None, **variables: str) -> tuple[int, str, str]:
        for name, lines in (plays or {}).items():
            (self.play / name).write_text("".join(f"{line}\n" for line in lines.split()))
        command = ["bash", str(self.project / "run_tpu.sh"), *words]
        done = subprocess.run(
            command, env=self.env | variables, cwd=self.project, capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout, done.stderr

    def calls(self) -> list[str]:
        """What gcloud was asked, less what stands in every call."""
        text = (self.play / "calls").read_text() if (self.play / "calls").exists() else ""
        for boring in ("compute tpus ", " --zone=z", " --ssh-flag=-o ServerAliveInterval=30", f"{self.logs}/pod/"):
            text = text.replace(boring, "")
        return text.splitlines()


@pytest.fixture
def laptop(tmp_path):
    return Laptop(tmp_path)


TRAIN = ("launch", "hybridlm", "train", "--config=my config.py", "--workdir=gs://bucket/run")
DESCRIBE = "tpu-vm describe pod --format=value(state,networkEndpoints.len())"
CREATE = "tpu-vm create pod --accelerator-type=v5litepod-8 --version=v2-alpha-tpuv5-lite"
DELETE = "tpu-vm delete pod --quiet"
COPY = [
    "tpu-vm ssh pod --worker=0 --command=true",
    "tpu-vm ssh pod --worker=1 --command=true",
    "tpu-vm scp hybridlm.tar.gz pod:hybridlm.tar.gz --worker=all",
    "tpu-vm ssh pod --worker=all --command=mkdir -p hybridlm && tar -xzf hybridlm.tar.gz -C hybridlm && cd hybridlm && "
    "bash run_tpu.sh pip --version",
]
START = (
    r"tpu-vm ssh pod --worker=all --command=cd hybridlm && env bash run_tpu.sh start pod hybridlm train "
    r"--config=my\ config.py --workdir=gs://bucket/run"
)
FOLLOW = "tpu-vm ssh pod --worker=0 --command=cd hybridlm && bash run_tpu.sh follow pod"
LOG = "tpu-vm scp pod:.hybridlm/pod/log attempt_{}/host_1.log --worker=1"
STOP = "tpu-vm ssh pod --worker=all --command=cd hybridlm && bash run_tpu.sh stop pod"


def test_a_slice_is_made_taken_away_and_made_again_and_the_same_command_goes_on(laptop):
    plays = {"states": r"ABSENT READY\t2 PREEMPTED ABSENT CREATING READY\t2", "ends": "lost 0"}
    code, out, err = laptop.launch(*TRAIN, plays=plays)
    assert code == 0
    assert laptop.calls() == [
        *[DESCRIBE, CREATE, DESCRIBE, *COPY, START, FOLLOW, LOG.format(1), STOP],
        *[DESCRIBE, DELETE, DESCRIBE, CREATE, DESCRIBE, DESCRIBE, *COPY, START, FOLLOW, LOG.format(2)],
    ]
    assert out.splitlines() == ["step 10 loss 3.2", "step 10 loss 3.2", "run_tpu.sh: ended with 0"]
    assert err.splitlines() == [
        "run_tpu.sh: attempt 1 ended with 255",
        "run_tpu.sh: pod is gone; making it anew",
        "run_tpu.sh: pod is CREATING",
        "run_tpu.sh: done",
        "run_tpu.sh: pod is left as it is; DELETE=true deletes it at the end",
    ]
    assert (laptop.logs / "pod/attempt_2/host_0.log").read_text() == "step 10 loss 3.2\nrun_tpu.sh: ended with 0\n"


def test_what_goes_to_the_hosts_is_what_git_would_take(laptop):
    laptop.launch(*TRAIN, plays={"states": r"READY\t1", "ends": "0"})
    with tarfile.open(laptop.logs / "pod/hybridlm.tar.gz") as archive:
        names = set(archive.getnames())
    assert names == {"run_tpu.sh", "launch_tpu.sh", "setup.cfg", "pyproject.toml", "my config.py", ".gitignore"}


def test_a_slice_that_was_there_before_is_never_deleted_unless_told(laptop):
    plays = {"states": r"READY\t2 PREEMPTED", "ends": "lost"}
    code, _, err = laptop.launch(*TRAIN, plays=plays)
    assert code == 64
    assert laptop.calls() == [DESCRIBE, *COPY, START, FOLLOW, LOG.format(1), STOP, DESCRIBE]
    assert err.splitlines()[-1] == (
        "run_tpu.sh: pod is gone, and launch did not make it; set DELETE=true, or delete it yourself and run this again"
    )


def test_told_to_delete_it_makes_it_anew_and_deletes_it_at_the_end(laptop):
    plays = {"states": r"READY\t2 TERMINATED ABSENT READY\t2", "ends": "lost 0"}
    assert laptop.launch(*TRAIN, plays=plays, DELETE="true")[0] == 0
    calls = laptop.calls()
    assert [n for n, call in enumerate(calls) if call == DELETE] == [calls.index(CREATE) - 2, len(calls) - 1]


@pytest.mark.parametrize(("end", "said"), [("64", "ended with 64"), ("70", "ended with 70")])
def test_what_a_retry_would_repeat_stops_at_once_with_its_code(laptop, end, said):
    code, _, err = laptop.launch(*TRAIN, plays={"states": r"READY\t2", "ends": end})
    assert code == int(end)
    assert laptop.calls() == [DESCRIBE, *COPY, START, FOLLOW, LOG.format(1)]
    assert err.splitlines()[0] == f"run_tpu.sh: {said}, which a retry would repeat"


def test_crashes_count_and_notices_of_preemption_do_not(laptop):
    """Three crashes in a row are one too many; a run that saved and stopped starts the count anew."""
    plays = {"states": r"READY\t2 " * 9, "ends": "1 74 75 134 75 75 1 139 1"}
    code, _, err = laptop.launch(*TRAIN, plays=plays, ATTEMPTS="3")
    assert code == 1
    calls = laptop.calls()
    assert calls.count(FOLLOW) == 9
    assert [calls.count(call) for call in COPY] == [1, 1, 1, 1], "the files are there already"
    assert calls.count(STOP) == 5, "after every crash but the last"
    assert "that was crash 3 in a row; giving up" in err


def test_no_capacity_and_no_answer_are_waited_out(laptop):
    plays = {"states": r"BROKEN ABSENT ABSENT CREATING READY\t2", "creates": "full ok", "ends": "0"}
    code, _, err = laptop.launch(*TRAIN, plays=plays)
    assert code == 0
    assert laptop.calls()[:7] == [DESCRIBE, DESCRIBE, CREATE, DESCRIBE, CREATE, DESCRIBE, DESCRIBE]
    assert "could not create pod; trying again" in err and "the network is down" in err


def test_a_place_in_the_queue_is_taken_once_and_taken_anew_when_it_fails(laptop):
    plays = {
        "states": r"ABSENT ABSENT ABSENT ABSENT READY\t2",
        "queue": "ABSENT WAITING_FOR_RESOURCES FAILED ABSENT",
        "ends": "0",
    }
    assert laptop.launch(*TRAIN, plays=plays, CAPACITY="queued-spot")[0] == 0
    asked = [call.removeprefix("queued-resources ") for call in laptop.calls() if call.startswith("queued-resources")]
    look = "describe pod --format=value(state.state)"
    make = "create pod --node-id=pod --accelerator-type=v5litepod-8 --runtime-version=v2-alpha-tpuv5-lite --spot"
    assert asked == [look, make, look, look, "delete pod --quiet --force", look, make]


def test_a_dry_run_prints_every_command_and_asks_for_nothing(laptop):
    code, out, _ = laptop.launch("--dry-run", *TRAIN, PROJECT="mine", LIBTPU_INIT_ARGS="--a=1 --b=2")
    assert (code, laptop.calls(), list(laptop.logs.glob("*"))) == (0, [], [])
    shown = [line.strip() for line in out.replace("gcloud compute tpus ", "").splitlines()]
    assert shown[0] == r"tpu-vm describe pod --zone=z --project=mine --format=value\(state\,networkEndpoints.len\(\)\)"
    assert [line.split()[1] for line in shown] == ["describe", "create", "describe", "ssh", "scp", "ssh", "ssh", "ssh"]
    assert r"LIBTPU_INIT_ARGS=--a=1\\\ --b=2\ bash\ run_tpu.sh\ start\ pod\ hybridlm\ train" in shown[-2]
    assert r"follow\ pod" in shown[-1]


def test_help_names_every_setting(laptop):
    code, out, _ = laptop.launch("launch", "--help")
    read = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", (ROOT / "launch_tpu.sh").read_text())) - {"HOME"}
    assert code == 0 and {"TPU_NAME", "CAPACITY", "ATTEMPTS"} <= read
    assert not [name for name in read if name not in out]
    assert "set -" not in out and "()" not in out, "comments alone"


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (("launch",), {}, "run_tpu.sh: launch MODULE [ARGUMENT...]"),
        (TRAIN, {"TPU_NAME": ""}, "launch needs TPU_NAME and ZONE"),
        (TRAIN, {"ZONE": ""}, "launch needs TPU_NAME and ZONE"),
        (TRAIN, {"ACCELERATOR_TYPE": ""}, "there is no pod in z, and no ACCELERATOR_TYPE says what to create"),
        (TRAIN, {"CAPACITY": "cheap"}, "CAPACITY=cheap is none of on-demand, spot, queued, queued-spot"),
    ],
)
def test_what_is_missing_is_named(laptop, words, variables, message):
    code, _, err = laptop.launch(*words, plays={"states": "ABSENT"}, **variables)
    assert code == 64
    assert message in err


@pytest.fixture
def host(laptop, tmp_path):
    """A host of the slice, whose module is a shell script."""
    module = tmp_path / "bin" / "python"
    (laptop.project / ".venv/bin").mkdir(parents=True)
    module.write_text(
        '#!/usr/bin/env bash\ncase "$*" in "-m pip --version") exit ;; "-m pip"*) exit ;; esac\n. "$PLAY/module"\n'
    )
    module.chmod(0o755)
    shutil.copy(module, laptop.project / ".venv/bin/python")
    laptop.env["HOME"] = str(tmp_path / "home")
    return laptop


def test_a_run_outlives_the_connection_and_tells_how_it_ended(host):
    (host.play / "module").write_text('echo "$*"; sleep 1; echo later; exit 75\n')
    assert host.launch("start", "pod", "module", "a b")[0] == 0
    assert host.launch("start", "pod", "module", "a b")[2] == "run_tpu.sh: pod is running\n"
    _, out, _ = host.launch("follow", "pod")
    assert out.splitlines()[-3:] == ["-m module a b", "later", "run_tpu.sh: ended with 75"]


def test_a_run_is_stopped_with_time_to_save(host):
    (host.play / "module").write_text(
        'trap "echo saved; exit 75" TERM; echo up; for i in $(seq 300); do sleep 0.1; done\n'
    )
    host.launch("start", "pod", "module")
    log = pathlib.Path(host.env["HOME"], ".hybridlm/pod/log")
    while not log.read_text().endswith("\nup\n"):
        time.sleep(0.05)
    assert host.launch("stop", "pod") == (0, "", "")
    assert host.launch("follow", "pod")[1].splitlines()[-2:] == ["saved", "run_tpu.sh: ended with 75"]
    assert host.launch("stop", "pod")[0] == 0, "there is nothing to stop any more"
