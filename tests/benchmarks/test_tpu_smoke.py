"""The smoke test of a TPU: its verdicts, the tokens it checks kernels on, and a dry run in which everything passes."""

import sys

import numpy as np
import pytest

from benchmarks import tpu_smoke


@pytest.mark.parametrize(
    ("found", "verdict"), [(0.5, "PASS"), (0.49, "FAIL"), (1.5, "PASS"), (1.51, "FAIL"), (float("nan"), "FAIL")]
)
def test_a_check_passes_between_its_bounds_and_never_without_a_number(found, verdict):
    line = str(tpu_smoke.Check("1.3B: measured over expected time", found, 0.5, 1.5))
    assert line.split()[0] == verdict and line.endswith("in [0.5, 1.5]")


def test_kernels_are_checked_on_packed_documents_that_stand_there_clean_and_noisy():
    facts = tpu_smoke.facts_of(0, length=256)
    clean, noisy = np.s_[:, :128], np.s_[:, 128:]
    assert (facts.stream[clean] == 0).all() and (facts.stream[noisy] == 1).all()
    for name in ("segment", "position", "index", "block"):
        column = np.asarray(getattr(facts, name))
        np.testing.assert_array_equal(column[clean], column[noisy], err_msg=name)
    for row in np.asarray(facts.segment[clean]):
        assert list(dict.fromkeys(row)) == [1, 2, 3, 0], "three documents one after the other, then padding"


def test_other_rows_are_other_documents():
    assert (tpu_smoke.facts_of(0, 256).segment != tpu_smoke.facts_of(1, 256).segment).any()


@pytest.mark.slow
def test_a_dry_run_passes_everything(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tpu_smoke", "--dry"])
    tpu_smoke.main()
    _, *table = capsys.readouterr().out.strip().splitlines()
    assert len(table) == 31 and all(line.startswith("PASS") for line in table)
