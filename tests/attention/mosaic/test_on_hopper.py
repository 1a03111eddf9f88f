"""The kernels compiled for an H100 that is not there, by ptxas, which needs none.

HYBRIDLM_VENV=.venv/cuda HYBRIDLM_EXTRA=cuda JAX_PLATFORMS=cpu bash run_tpu.sh pytest -m cuda -n0
"""

import re

import jax
import jax.numpy as jnp
import pytest

from hybridlm import masks
from hybridlm.attention.mosaic import call, cuts, schedule
from hybridlm.facts import tokens
from hybridlm.planning import chips, program

pytestmark = pytest.mark.cuda

SPILLED = 256
"""Bytes per thread that a kernel may keep in memory: some numbers of a tile, never a sum of a warpgroup."""
MASKS = {
    "in bits": masks.causal(),
    "packed": masks.causal() & masks.same_segment() & masks.valid(),
    "strided": masks.causal() & masks.strided(4) & masks.window(1023),
    "two streams": masks.unified(),
}
"""Those that the kernels read as expressions, and any mask as bits, where the kernels do not know it."""
PASSES = {1: cuts.IN_ONE_PASS, 2: dict.fromkeys(cuts.CUTS)}


@pytest.fixture
def h100():
    found = program.devices_of(chips.parse("h100:1"))
    if isinstance(found, program.NoProgram):
        pytest.skip(found.reason)
    return jax.sharding.SingleDeviceSharding(found[0])


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("width", cuts.CUTS)
def test_products_are_asynchronous_and_sums_stay_in_registers(h100, width, passes, mask, tmp_path, monkeypatch):
    """Where registers do not suffice, ptxas waits for each product before the next, and says so as C7511 or C7512."""
    monkeypatch.setenv("MOSAIC_GPU_DUMP_PTXAS", "1")
    monkeypatch.setenv("MOSAIC_GPU_DUMP_TO", str(tmp_path))
    monkeypatch.setattr(schedule, "processors", lambda: 132)
    cut = cuts.CUTS[width]._replace(backward=PASSES[passes][width])

    def gradients(segment, q, k, v, dout):
        facts = tokens.from_columns(segment, tokens.along_row(segment.shape))
        prepared = call.prepare(MASKS[mask], facts, None, in_bits=mask == "in bits")
        out, pull = jax.vjp(lambda *qkv: call.attend(prepared, *qkv, width**-0.5, cut)[0], q, k, v)
        return out, *pull(dout)

    segment = jax.ShapeDtypeStruct((2, 1024), jnp.int32, sharding=h100)
    matrix = jax.ShapeDtypeStruct((2, 1024, 4, width), jnp.bfloat16, sharding=h100)
    jax.jit(gradients).trace(segment, *[matrix] * 4).lower(lowering_platforms=("cuda",)).compile()

    told = [file.read_text() for file in sorted(tmp_path.glob("*.ptxas"))]
    assert len(told) == 1 + passes
    for text in told:
        assert "serialized" not in text, text
        assert int(re.search(r"(\d+) bytes spill stores", text)[1]) <= SPILLED, text
