"""Arrangements as pictures: where the numbers of a published tensor lie in our leaf, and the way back."""

import dataclasses

import numpy as np
import pytest

from hybridlm.config.model import ModelConfig
from hybridlm.interop.architecture import plan
from hybridlm.interop.families import ARCHITECTURES, gpt2, llama, neox

# Four query heads on two key/value heads, each two numbers wide, over an input of one number.
GROUPED = ModelConfig(width=1, layers=1, heads=4, kv_heads=2, head_width=2, ffn=3)
# Two heads of one number each, as GPT-2 and GPT-NeoX have them: every head with its own key and value.
EACH = {"norm": "layer", "attention_bias": "all", "ffn_bias": True, "ffn": 10, "layers": 2}
LEARNED = {"positions": "learned", "max_positions": 3, "activation": "gelu_tanh"}
PLAIN = ModelConfig(width=2, heads=2, kv_heads=2, **EACH, **LEARNED)


def filled(table, config, path, **theirs):
    """Our leaf (of the first layer) from their tensors, named by a part of their name; the others stay -1."""
    parts = plan(table, config, vocab_size=5)[path]
    leaf = np.full((config.layers, *SHAPES[path](config)), -1)
    for part in parts:
        for name, tensor in theirs.items():
            if name in part.name:
                part.fill(leaf, np.asarray(tensor).reshape(part.shape))
    return leaf[0]


SHAPES = {
    "layers/attention/qkv": lambda c: (c.width, c.kv_heads, c.heads // c.kv_heads + 2, c.key_width),
    "layers/attention/qkv_bias": lambda c: (c.kv_heads, c.heads // c.kv_heads + 2, c.key_width),
    "layers/ffn/up": lambda c: (c.width, 2 if c.gated else 1, c.ffn),
}


def test_llama_puts_queries_before_the_key_and_the_value_they_share():
    leaf = filled(
        llama.TABLE,
        GROUPED,
        "layers/attention/qkv",
        q_proj=[[11], [12], [21], [22], [31], [32], [41], [42]],  # head, then number
        k_proj=[[51], [52], [61], [62]],
        v_proj=[[71], [72], [81], [82]],
    )
    first, second = leaf[0]
    assert first.tolist() == [[11, 12], [21, 22], [51, 52], [71, 72]]
    assert second.tolist() == [[31, 32], [41, 42], [61, 62], [81, 82]]


def test_llama_puts_the_gate_before_what_it_gates():
    leaf = filled(llama.TABLE, GROUPED, "layers/ffn/up", gate_proj=[[1], [2], [3]], up_proj=[[4], [5], [6]])
    assert leaf.tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_gpt2_keeps_all_queries_then_all_keys_and_neox_keeps_heads_together():
    bias = [1, 2, 3, 4, 5, 6]
    ours = filled(gpt2.TABLE, PLAIN, "layers/attention/qkv_bias", c_attn=bias)
    assert ours[..., 0].tolist() == [[1, 3, 5], [2, 4, 6]]
    ours = filled(
        neox.TABLE, dataclasses.replace(PLAIN, positions="none"), "layers/attention/qkv_bias", query_key_value=bias
    )
    assert ours[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
def test_every_number_of_a_leaf_has_one_place_in_their_tensors(architecture):
    config, rows = SMALL[architecture.name], 5
    for path, parts in plan(architecture.table, config, rows).items():
        stops = [[one.stop if isinstance(one, slice) else one + 1 for one in part.region] for part in parts]
        numbers = np.arange(np.prod(np.max(stops, 0)), dtype=np.float32).reshape(np.max(stops, 0))
        again = np.full(numbers.shape, np.nan, np.float32)
        for part in parts:
            theirs = part.extract(numbers)
            assert theirs.shape == part.shape, path
            part.fill(again, theirs)
        np.testing.assert_array_equal(again, numbers, err_msg=path)


GROUPS = {"width": 8, "layers": 2, "heads": 4, "kv_heads": 2, "head_width": 6, "ffn": 10, "tied_head": False}
SMALL = {
    "LlamaForCausalLM": ModelConfig(**GROUPS, attention_bias="all", ffn_bias=True),
    "Qwen2ForCausalLM": ModelConfig(**GROUPS, attention_bias="qkv"),
    "Qwen3ForCausalLM": ModelConfig(**GROUPS, qk_norm="head"),
    "Olmo2ForCausalLM": ModelConfig(**GROUPS, qk_norm="full", norm_placement="output"),
    "GPT2LMHeadModel": PLAIN,
    "GPTNeoXForCausalLM": ModelConfig(**EACH, parallel_residual=True, activation="gelu", tied_head=False),
    "BertForMaskedLM": dataclasses.replace(
        PLAIN, norm_placement="post", embedding_norm=True, head_bias=True, final_dense="gelu"
    ),
    "LLaDAModelLM": ModelConfig(**GROUPS),
    "DreamModel": ModelConfig(**GROUPS, attention_bias="qkv"),
}
