"""Hosts of one run compute what one host does: the same losses, the same rows of text, the same reading to the byte.

`python -m pytest -n0 -m slow tests/launch` adds four hosts, other meshes and the reading.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from tests.end_to_end import tiny

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with prepared rows, and an environment that is this one."""
    directory = tmp_path_factory.mktemp("hosts")
    tiny.write_text(directory / "text")
    prepare(tiny.experiment(directory / "text").data, directory / "rows", progress=silent)
    python = directory / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/usr/bin/env bash\n[[ "$*" == "-m pip"* ]] || exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return directory


def said(what: str, place: pathlib.Path, hosts: int, devices: int, *changes: str) -> dict:
    """What so many hosts with so many devices in all say of a config with these changes."""
    env = {
        "HYBRIDLM_VENV": place / "venv",
        "HYBRIDLM_LOGS": place / "logs",
        "HYBRIDLM_EXTRA": "",
        "JAX_PLATFORMS": "cpu",
    }
    env |= {"JAX_NUM_CPU_DEVICES": devices // hosts}
    words = ["bash", "run_tpu.sh", "local", str(hosts), "tests.launch.few_steps", what, str(place), *changes]
    env = os.environ | {name: str(value) for name, value in env.items()}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("hosts", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_hosts_take_the_steps_of_one(place, hosts):
    one, many = said("take", place, 1, hosts), said("take", place, hosts, hosts)
    assert (one["hosts"], many["hosts"]) == (1, hosts)
    assert many["rows"] == [rows[: len(rows) // hosts] for rows in one["rows"]], "the first host reads the first rows"
    assert many["losses"] == pytest.approx(one["losses"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["tensor", "sequence"])
@pytest.mark.parametrize("devices", [2, 4], ids=["across hosts", "within each host"])
def test_hosts_that_share_rows_and_hosts_that_do_not_take_the_steps_of_one(place, axis, devices):
    change = f"mesh.{axis}=2"
    one, many = said("take", place, 1, devices, change), said("take", place, 2, devices, change)
    assert many["rows"] == [rows[: len(rows) // (devices // 2)] for rows in one["rows"]]
    assert many["losses"] == pytest.approx(one["losses"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_read_what_one_does_to_the_byte(place, hosts):
    one, many = said("read", place, 1, hosts), said("read", place, hosts, hosts)
    assert (one.pop("hosts"), many.pop("hosts")) == (1, hosts)
    assert many == one
