"""The benchmark of several GPUs: generated rows are packed documents, and a tiny one runs to its end on any mesh."""

import sys

import numpy as np
import pytest

from benchmarks import multi_gpu


def test_generated_rows_are_whole_documents_one_after_the_other():
    row = multi_gpu._row(np.random.default_rng(0), length=4096, vocab_size=512)
    starts = np.flatnonzero(row["positions"] == 0)
    assert len(starts) > 2 and starts[0] == 0
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], 4096]), 1):
        np.testing.assert_array_equal(row["positions"][start:stop], np.arange(stop - start))
        assert set(row["segment_ids"][start:stop]) == {number}
    assert row["tokens"].min() >= 4 and row["tokens"].max() < 512, "no special ids"


def test_scaling_doubles_the_devices():
    assert [multi_gpu.counts(devices) for devices in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4], [1, 2, 4, 8]]


@pytest.mark.slow
def test_a_tiny_one_runs_to_its_end_and_every_mesh_has_the_losses_of_one_device(monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(sys, "argv", ["multi_gpu", "--preset=tiny", "--steps=2", "--objectives=ar"])
    multi_gpu.main()
    said = capsys.readouterr().out
    for line in ("tiny ar, fsdp 8:", "tiny ar, fsdp 4 x tensor 2:", "tiny ar, one device:", "generated documents"):
        assert line in said
    apart = [float(line.split()[-2]) for line in said.splitlines() if line.startswith("losses")]
    assert len(apart) == 3 and max(apart) < 1e-6
