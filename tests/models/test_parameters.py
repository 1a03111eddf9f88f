"""The parameter table as a picture: paths and shapes are the checkpoint's format, so a change here is a break."""

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.config.model import ModelConfig
from hybridlm.models import decoder, size

LLAMA_LIKE = """
embedding/tokens 64x32
final_norm/scale 32
layers/attention/out 3x4x8x32
layers/attention/qkv 3x32x2x4x8
layers/attention_norm/scale 3x32
layers/ffn/down 3x48x32
layers/ffn/up 3x32x2x48
layers/ffn_norm/scale 3x32
"""

EVERY_SWITCH = """
embedding/norm/bias 32
embedding/norm/scale 32
embedding/positions 20x32
embedding/tokens 61x32
final_norm/bias 32
final_norm/scale 32
final_norm/time 128x2x32
head/bias 61
head/kernel 61x32
layers/attention/key_norm 3x2x8
layers/attention/out 3x4x8x32
layers/attention/out_bias 3x32
layers/attention/qkv 3x32x2x4x8
layers/attention/qkv_bias 3x2x4x8
layers/attention/query_norm 3x2x2x8
layers/attention_norm/bias 3x32
layers/attention_norm/scale 3x32
layers/attention_norm/time 3x128x2x32
layers/ffn/down 3x48x32
layers/ffn/down_bias 3x32
layers/ffn/up 3x32x1x48
layers/ffn/up_bias 3x1x48
layers/ffn_norm/bias 3x32
layers/ffn_norm/scale 3x32
layers/ffn_norm/time 3x128x2x32
time/first 128x128
time/first_bias 128
time/second 128x128
time/second_bias 128
"""

SHAPE = {"width": 32, "layers": 3, "heads": 4, "kv_heads": 2, "ffn": 48}
SWITCHES = {
    "activation": "gelu",
    "norm": "layer",
    "embedding_norm": True,
    "attention_bias": "all",
    "ffn_bias": True,
    "positions": "learned",
    "max_positions": 20,
    "qk_norm": "full",
    "tied_head": False,
    "head_bias": True,
    "time_conditioning": True,
}


def picture(config):
    rows = size.table(decoder.shapes(config, 61))
    assert {row.dtype for row in rows} == {"float32"}
    return "\n" + "".join(f"{row.path} {'x'.join(map(str, row.shape))}\n" for row in rows)


def test_the_table_of_a_llama_and_of_every_switch():
    assert picture(ModelConfig(**SHAPE, vocab_multiple=32)) == LLAMA_LIKE
    assert picture(ModelConfig(**SHAPE, **SWITCHES)) == EVERY_SWITCH


def test_fresh_parameters_have_the_stated_spread_and_never_repeat():
    config = ModelConfig(width=64, layers=8, heads=4, kv_heads=4, ffn=128, init_std=0.5, tied_head=False)
    params = decoder.init(config, 500, jax.random.key(1))
    spread = {row.path: float(jnp.std(leaf)) for row, leaf in zip(size.table(params), jax.tree.leaves(params))}
    drawn = {path: std for path, std in spread.items() if not path.endswith("scale")}
    residual = {"layers/attention/out", "layers/ffn/down"}
    for path, std in drawn.items():
        np.testing.assert_allclose(std, 0.5 / 4 if path in residual else 0.5, rtol=0.02)
    first = {float(leaf.ravel()[0]) for path, leaf in zip(spread, jax.tree.leaves(params)) if path in drawn}
    assert len(first) == len(drawn)
    qkv = params["layers"]["attention"]["qkv"]
    assert not jnp.any(qkv[0] == qkv[1])
