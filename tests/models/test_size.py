"""Parameter counts against published ones, and FLOPs against XLA's own count."""

import jax
import jax.numpy as jnp
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.model import ModelConfig
from hybridlm.config.presets import PRESETS, preset
from hybridlm.facts import tokens
from hybridlm.models import decoder, size


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_parameters_they_state(name):
    stated = PRESETS[name]
    assert size.count(decoder.shapes(preset(name), stated.vocab_size)) == stated.parameters


def test_a_preset_can_be_changed_and_a_wrong_name_is_answered_with_the_nearest():
    assert preset("125M", loop="scan") == preset("125M", loop="scan", layers=12)
    with pytest.raises(ConfigError, match=r"there is no model preset '1.5B'; did you mean '1.3B'\?"):
        preset("1.5B")


def test_flops_of_a_llama_by_hand():
    config = ModelConfig(width=64, layers=3, heads=4, kv_heads=2, ffn=96, vocab_multiple=32)
    weights = 3 * (64 * (4 + 2 + 2) * 16 + 64 * 64 + 3 * 64 * 96) + 128 * 64
    assert size.flops_per_token(config, 100, 17.5) == 6 * weights + 12 * 3 * 64 * 17.5


@pytest.mark.parametrize(
    "switches", [{}, {"activation": "gelu", "tied_head": False, "time_conditioning": True, "final_dense": "gelu"}]
)
def test_flops_agree_with_the_count_of_xla(switches):
    config, length = ModelConfig(width=256, heads=4, kv_heads=2, ffn=704, **switches), 128

    def mix(layer, q, k, v, state):
        return jax.nn.dot_product_attention(q, k, v), state

    def forward(params, ids):
        hidden, _ = decoder.apply(config, 512, params, ids, tokens.one_document(length), mix)
        return hidden @ decoder.head(params, config, 512).kernel_VD.T

    ids = jax.ShapeDtypeStruct((1, length), jnp.int32)
    counted = jax.jit(forward).lower(decoder.shapes(config, 512), ids).cost_analysis()["flops"]
    assert counted == pytest.approx(size.flops_per_token(config, 512, length) / 3 * length, rel=0.05)
