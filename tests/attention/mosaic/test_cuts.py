"""Which masks take one pass for all gradients, and who may forbid it."""

import jax
import jax.numpy as jnp
import pytest

from hybridlm import masks
from hybridlm.attention.mosaic import call, cuts
from hybridlm.attention.mosaic.tiles import Tiles
from hybridlm.facts import tokens

CAUSAL = masks.causal()


@pytest.mark.parametrize(
    ("mask", "head_width", "shortest"),
    [
        (CAUSAL & masks.valid(), 128, 4096),
        (CAUSAL | masks.prefix(512), 128, 4096),
        (CAUSAL & masks.same_segment(), 128, 16384),
        (masks.block_diffusion(), 128, 8192),
        (masks.block_diffusion() & masks.same_segment(), 128, 32768),
        (CAUSAL & masks.window(1023), 128, None),
        (masks.custom(lambda q, k: (q.index - k.index < 5000) & (k.index <= q.index)), 128, 4096),
        (masks.custom(lambda q, k: abs(q.index - k.index) <= 2047), 128, None),
        (masks.custom(lambda q, k: abs(q.index - k.index) <= 2048), 128, 4096),
        (masks.window(9) | masks.prefix(512), 128, 4096),
        (masks.custom(lambda q, k: (q.block - k.block <= 9) & (k.index <= q.index)), 128, 4096),
        (masks.custom(lambda q, k: (abs(q.index - q.position) <= 9) & (k.index <= q.index)), 128, 4096),
        (CAUSAL & masks.strided(4), 128, 128),
        (CAUSAL & masks.strided(4) & masks.same_segment(), 64, 128),
        (masks.custom(lambda q, k: q.index % 3 == k.index % 3), 64, 128),
        (CAUSAL, 64, None),
        (CAUSAL & masks.same_segment(), 64, None),
    ],
)
def test_one_pass_is_for_long_rows_and_dear_masks(mask, head_width, shortest, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    lengths = [128 << i for i in range(10)]
    taken = [length for length in lengths if cuts.fastest(mask, length, head_width).backward]
    assert taken == [length for length in lengths if shortest and length >= shortest]


@pytest.mark.parametrize(
    ("flags", "is_forbidden"),
    [
        ("--xla_gpu_deterministic_ops=true", True),
        ("--xla_dump_to=x --xla_gpu_deterministic_ops", True),
        ("--xla_gpu_deterministic_ops=false", False),
        ("--xla_gpu_deterministic_ops=true --xla_gpu_deterministic_ops=false", False),
        ("", False),
    ],
)
def test_who_asks_xla_for_equal_bits_gets_the_two_kernels(flags, is_forbidden, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert (cuts.fastest(CAUSAL, 8192, 128).backward is None) == is_forbidden


def test_one_pass_takes_64_columns_a_step():
    """Twice as many scores would not stay in registers."""
    facts = tokens.from_columns(jnp.ones((1, 128), jnp.int32), tokens.along_row((1, 128)))
    x = jnp.zeros((1, 128, 1, 64), jnp.bfloat16)
    cut = cuts.CUTS[64]._replace(backward=Tiles(128, 2))

    def loss(q):
        return call.attend(call.prepare(CAUSAL, facts, None), q, x, x, 0.1, cut)[0].astype(jnp.float32).sum()

    text = r"one pass for all gradients takes 64 columns a step, not 128: take Tiles\(64, 2\)"
    with pytest.raises(ValueError, match=text):
        jax.eval_shape(jax.grad(loss), x)
