"""Which backend takes which mask, and the reason given; nothing is replaced in silence."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import attention, masks
from hybridlm.attention import mosaic, plans
from hybridlm.config.model import ModelConfig
from hybridlm.facts import tokens

SWAPPED = tokens.concatenate([tokens.one_document(64, offset=64), tokens.one_document(64)], axis=1)
PADDED = tokens.from_columns(*jnp.ones((2, 1, 128), jnp.int32), extra={"length": jnp.full((1, 128), 70, jnp.int32)})
ROW = tokens.from_columns(jnp.ones((1, 128), jnp.int32), jnp.arange(128, dtype=jnp.int32)[None])
ROW_OF_256 = tokens.from_columns(jnp.ones((1, 256), jnp.int32), jnp.arange(256, dtype=jnp.int32)[None])
GPU, TPU = {"platform": "gpu"}, {"platform": "tpu"}

ROUTES = [
    (masks.causal(), ROW, GPU, "mosaic", "not cudnn: mosaic is faster at causal masks, forward and backward; mosaic"),
    (masks.causal(), ROW, {**GPU, "head_width": 128}, "mosaic", "not cudnn: mosaic is faster at causal masks"),
    (masks.causal() & masks.window(31), ROW, GPU, "mosaic", "not cudnn: mosaic is faster at causal masks"),
    (masks.causal() & masks.padding(), PADDED, GPU, "mosaic", "not cudnn: mosaic is faster at causal masks"),
    (masks.bidirectional(), ROW, GPU, "cudnn", "cudnn takes it"),
    (masks.bidirectional(), ROW, {**GPU, "head_width": 128}, "cudnn", "cudnn takes it"),
    (masks.padding(), PADDED, GPU, "cudnn", "cudnn takes it"),
    (masks.causal(), ROW, {**GPU, "head_width": 96}, "cudnn", "cudnn takes it"),
    (masks.causal() & masks.window(31), ROW, {**GPU, "dtype": jnp.float16}, "cudnn", "cudnn takes it"),
    (masks.causal(), ROW, {**GPU, "dtype": jnp.float16, "head_width": 256}, "cudnn", "cudnn takes it"),
    (masks.bidirectional(), SWAPPED, {**GPU, "head_width": 128}, "cudnn", "cudnn takes it"),
    (masks.causal(), SWAPPED, GPU, "mosaic", "not cudnn: tokens are not stored in the order of `index`"),
    (masks.causal(), ROW, {}, "dense", "not cudnn: cuDNN runs on NVIDIA GPUs, and this is cpu; not mosaic"),
    (masks.causal(), ROW, TPU, "splash", "for NVIDIA Hopper GPUs, and this is tpu; splash takes it"),
    (masks.unified(), ROW, {**TPU, "dtype": jnp.float32, "head_width": 256}, "splash", "splash takes it"),
    (masks.causal(), ROW, {**TPU, "dtype": jnp.float16}, "dense", "compute in bfloat16 or float32, not float16"),
    (masks.causal(), ROW, {**TPU, "head_width": 96}, "dense", "head width 96 is not 64, 128 or 256; dense takes it"),
    (masks.causal(), tokens.one_document(1), TPU, "dense", "a row of 1 queries would fill little of a tile of 128"),
    (masks.dense(np.ones((128, 128), bool)), ROW, TPU, "dense", "not splash: dense(128 x 128 array) holds a dense"),
    (masks.causal(), ROW, {**GPU, "dtype": jnp.float32}, "dense", "in bfloat16 or float16, not float32"),
    (masks.unified(), ROW, {**GPU, "dtype": jnp.float16}, "dense", "kernels compute in bfloat16, not float16"),
    (masks.unified(), ROW, {**GPU, "head_width": 96}, "dense", "head width 96 is not 64 or 128"),
    (masks.dense(np.ones((128, 128), bool)), ROW, GPU, "mosaic", "mosaic takes it"),
    (masks.causal(), ROW, {**GPU, "head_width": 60}, "dense", "head width 60 is not a multiple of 8 up to 256"),
    (masks.causal(), ROW, {**GPU, "head_width": 264}, "dense", "head width 264 is not a multiple of 8 up to 256"),
    (masks.causal(), tokens.one_document(63), GPU, "mosaic", "rows of 63 tokens are odd"),
    (masks.causal(), ROW, {**GPU, "k_facts": ROW}, "mosaic", "queries and keys are different tokens"),
    (
        masks.unified(),
        ROW,
        GPU,
        "mosaic",
        "unified() is not full, causal, causal with a left window, or one of the first",
    ),
    (masks.window(31), ROW, {**GPU, "backend": "cudnn"}, "cudnn", "asked for by name"),
]


@pytest.mark.parametrize(("mask", "facts", "options", "backend", "reason"), ROUTES)
def test_route(mask, facts, options, backend, reason):
    explanation = attention.explain(mask, facts, **options)
    assert explanation.backend == backend
    assert reason in explanation.reason
    planned = attention.plan(mask, facts, **{"dtype": jnp.bfloat16, "head_width": 64, **options})
    assert backend == planned.backend.NAME


def test_a_dense_array_is_for_kernels_that_may_keep_its_bits(monkeypatch):
    """Expressions of long rows are read inside the kernels, and go on as before."""
    monkeypatch.setattr(mosaic, "MOST_PAIRS", 128 * 128 - 1)
    mask = masks.dense(np.ones((128, 128), bool))
    explanation = attention.explain(mask, ROW, **GPU)
    assert explanation.backend == "dense"
    assert "as bits, and the batch has 16,384 pairs, of which only up to 16,383 are kept" in explanation.reason
    planned = attention.plan(masks.unified(), ROW, dtype=jnp.bfloat16, head_width=64, **GPU)
    assert planned.backend is mosaic and not planned.prepared.in_bits
    monkeypatch.undo()
    assert attention.plan(mask, ROW, dtype=jnp.bfloat16, head_width=64, **GPU).prepared.in_bits


def test_an_explanation_reads_as_a_sentence():
    on_gpu = attention.explain(masks.causal(), ROW_OF_256, platform="gpu", backend="dense")
    assert str(on_gpu) == "dense: asked for by name; computes 100.0% of blocks, 75.0% needed"
    assert (on_gpu.needed, on_gpu.computed) == (0.75, 1.0)
    fused = attention.explain(masks.causal(), ROW_OF_256, platform="gpu", backend="cudnn")
    assert str(fused) == "cudnn: asked for by name; computes 75.0% of blocks, 75.0% needed"
    on_cpu = attention.explain(masks.causal(), ROW, dtype=jnp.float32)
    assert str(on_cpu).startswith(
        "dense: not cudnn: cuDNN runs on NVIDIA GPUs, and this is cpu; "
        "not mosaic: its kernels are for NVIDIA Hopper GPUs, and this is cpu; "
        "not splash: its kernels are for TPUs, and this is cpu; dense takes it; computes"
    )
    on_tpu = attention.explain(masks.causal(), tokens.one_document(1024), platform="tpu", backend="splash")
    assert str(on_tpu) == "splash: asked for by name; computes 75.0% of blocks, 56.2% needed"


@pytest.mark.parametrize(
    ("mask", "options", "text"),
    [
        (
            masks.causal(),
            {"backend": "flash"},
            "attention backend 'flash' is unknown; there are cudnn, mosaic, splash, dense, and 'auto'.",
        ),
        (
            masks.causal(),
            {"backend": "cudnn", "platform": "cpu"},
            "attention backend 'cudnn' was asked for, but cuDNN runs on NVIDIA GPUs, and this is cpu. Use 'auto'",
        ),
        (
            masks.unified(),
            {"backend": "mosaic", "platform": "cpu"},
            "attention backend 'mosaic' was asked for, but its kernels are for NVIDIA Hopper GPUs, and this is cpu.",
        ),
        (
            masks.unified(),
            {"backend": "splash", **GPU},
            "attention backend 'splash' was asked for, but its kernels are for TPUs, and this is gpu. Use 'auto'",
        ),
        (masks.unified(), {"backend": "cudnn", **GPU}, "was asked for, but unified() is not full, causal"),
        (
            masks.unified(),
            {"backend": "mosaic", **GPU, "head_width": 96},
            "attention backend 'mosaic' was asked for, but head width 96 is not 64 or 128. Use 'auto', or",
        ),
        (masks.prefix(), {}, "mask prefix() reads prefix_length, but the tokens carry position, index, segment"),
    ],
)
def test_refused(mask, options, text):
    for ask in attention.plan, attention.explain:
        with pytest.raises(ValueError, match=re.escape(text)):
            ask(mask, ROW, **{"dtype": jnp.bfloat16, "head_width": 64, **options})


def test_kernels_are_for_hopper(monkeypatch):
    """A GPU of another generation takes the dense road, and says so."""

    class Ampere:
        compute_capability = "8.0"

    monkeypatch.setattr(jax, "local_devices", lambda: [Ampere()])
    assert attention.explain(masks.causal(), ROW, **GPU).backend == "cudnn"
    explanation = attention.explain(masks.unified(), ROW, **GPU)
    assert explanation.backend == "dense"
    assert "for compute capability 9.0 (H100, H200), and this GPU has 8.0" in explanation.reason


def test_every_backend_can_be_named_in_a_config():
    for backend in plans.BACKENDS:
        assert ModelConfig(attention_backend=backend.NAME).attention_backend == backend.NAME


def test_a_jax_that_links_kernels_is_warned_of_on_gpus_alone():
    for version in ("0.12.0", "0.12.0.1", "0.13.2", "1.0.0"):
        with pytest.warns(RuntimeWarning, match=f"jax {version} .* right but slow.*'jax\\[cuda13\\]<0.12'"):
            mosaic.warn_if_slow(version, "gpu")
        mosaic.warn_if_slow(version, "cpu")  # warnings are errors in tests
    mosaic.warn_if_slow("0.11.2", "gpu")
