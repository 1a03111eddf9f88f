"""A step on a mesh: rows without text are packed documents, and what a run says it holds is what lies there."""

import argparse
import math

import jax
import numpy as np
import pytest

from benchmarks import multi_gpu, on_mesh
from hybridlm.config.mesh import MeshConfig

FLAGS = argparse.Namespace(length=64, chunk=64, loop="", remat="", layers=0)
GIB = 2**30


@pytest.fixture(scope="module")
def run():
    """Two rows of 64 tokens over two devices, after one step."""
    case = multi_gpu.Case("tiny", "ar", MeshConfig(data=1, fsdp=2))
    run = on_mesh.Run(multi_gpu.experiment(case, 2, FLAGS), None)
    assert not hasattr(run, "state"), "a run that is only compiled holds no memory"
    run.start().take()
    return run


def test_generated_rows_are_whole_documents_one_after_the_other():
    row = on_mesh._row(np.random.default_rng(0), length=4096, vocab_size=512)
    starts = np.flatnonzero(row["positions"] == 0)
    assert len(starts) > 2 and starts[0] == 0
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], 4096]), 1):
        np.testing.assert_array_equal(row["positions"][start:stop], np.arange(stop - start))
        assert set(row["segment_ids"][start:stop]) == {number}
    assert row["tokens"].min() >= 4 and row["tokens"].max() < 512, "no special ids"


def test_memory_is_what_lies_on_one_device(run):
    """Matrices are halved and norms are on both devices; AdamW keeps two of each, and two counters of four bytes."""
    divided = 512 * 64 + 2 * (64 * 4 * 3 * 16 + 64 * 64 + 64 * 2 * 128 + 128 * 64)
    parameters = 4 * (divided // 2 + 5 * 64)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(run.state.params)) == divided + 5 * 64
    found = run.memory()
    assert found["parameters"] * GIB == parameters
    assert found["optimizer"] * GIB == 2 * parameters + 8
    temporary = run.compiled.memory_analysis().temp_size_in_bytes
    assert (found["gradients"] + found["activations and the rest"]) * GIB == pytest.approx(temporary)


def test_work_is_counted_by_hand(run):
    """128 tokens; six operations a weight, and twelve for every layer, head number and key of 32.5 on average."""
    weights = 512 * 64 + 2 * (64 * 4 * 3 * 16 + 64 * 64 + 64 * 2 * 128 + 128 * 64)
    flops, visible = run.work()
    assert visible == 32.5
    assert flops == 128 * (6 * weights + 12 * 2 * 64 * 32.5)


def test_no_data_sheet_says_how_fast_a_cpu_is(run):
    assert run.expected is None
