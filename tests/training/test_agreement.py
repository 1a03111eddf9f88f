"""Hosts that differ are named, with what they differ in."""

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import override
from hybridlm.training import agreement

HOSTS = ["pod-w-0", "pod-w-1", "pod-w-2"]


def digests(*facts):
    """[P, F, 32] of the facts of each process."""
    return np.array([[agreement._digest(fact) for fact in own] for own in facts])


def test_hosts_that_are_alike_pass():
    agreement.compare(["code", "config"], digests(*3 * [("a", 1)]), HOSTS)


def test_the_host_that_differs_is_named():
    with pytest.raises(ConfigError) as refused:
        agreement.compare(["code", "config"], digests(("a", 1), ("a", 2), ("a", 1)), HOSTS)
    assert str(refused.value) == (
        "the hosts of this run are not alike, so they would compute different things; give all of them the same code, "
        "packages, command and data:\n  process 1 (pod-w-1) has another config: d4735e3a265e instead of 6b86b273ff34"
    )


def test_of_two_that_differ_the_second_is_blamed_and_one_host_may_differ_in_several_things():
    with pytest.raises(ConfigError) as refused:
        agreement.compare(["code", "config"], digests(("a", 1), ("b", 2)), HOSTS[:2])
    lines = str(refused.value).splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == [
        "  process 1 (pod-w-1) has another code",
        "  process 1 (pod-w-1) has another config",
    ]


def test_a_program_is_told_by_its_config_and_its_code(monkeypatch, tmp_path):
    run = Experiment(name="run")
    one, other = agreement.of_program(run), agreement.of_program(override(run, {"seed": 1}))
    assert {name for name in one if one[name] != other[name]} == {"config"}
    monkeypatch.setenv("XLA_FLAGS", "--xla_one=1")
    assert agreement.of_program(run)["compiler flag"] != one["compiler flag"]
    monkeypatch.setattr(agreement, "__file__", str(tmp_path / "training" / "agreement.py"))
    (tmp_path / "a.py").write_text("x = 1")
    before = agreement.code()
    (tmp_path / "a.py").write_text("x = 2")
    assert agreement.code() != before


def test_a_lone_process_agrees_with_itself_without_asking(monkeypatch):
    monkeypatch.setattr(agreement.multihost_utils, "process_allgather", lambda _: pytest.fail("nobody to ask"))
    agreement.check({"code": "a"})
