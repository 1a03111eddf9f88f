"""What is written is what `transformers` itself wrote, number by number, and it reads back bit by bit."""

import dataclasses
import json
import os
import subprocess

import jax
import numpy as np
import pytest
import safetensors.numpy
from etils import epath

from hybridlm import interop, masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, masked_diffusion
from hybridlm.interop import export, tensor_files
from hybridlm.models import parameters
from tests.interop.networks import FIXTURES, answers

EXPORTED = ["llama", "llama_sharded", "qwen2", "qwen3", "olmo2", "gpt2", "neox", "neox_serial"]
OLDER = {"rope_theta", "rotary_emb_base", "rotary_pct"}
"""Fields under the names that all versions of `transformers` read."""


def stored(directory) -> dict:
    return {
        name: x for path in directory.glob("*.safetensors") for name, x in safetensors.numpy.load_file(path).items()
    }


def model_of(config: ModelConfig, **changes) -> interop.Pretrained:
    return interop.Pretrained(
        **{"config": config, "vocab_size": 61, "objective": autoregressive(), "context": 12} | changes
    )


@pytest.mark.parametrize("name", EXPORTED)
def test_tensors_and_fields_are_those_that_transformers_wrote(name, tmp_path):
    model, params = interop.load_pretrained(FIXTURES / name)
    interop.save_pretrained(tmp_path / "out", model, params)
    ours, theirs = stored(tmp_path / "out"), stored(FIXTURES / name)
    assert ours.keys() == theirs.keys()
    for tensor, numbers in theirs.items():
        np.testing.assert_array_equal(ours[tensor], numbers.astype(np.float32), err_msg=tensor)

    fields, expected = (
        json.loads((where / "config.json").read_text()) for where in (tmp_path / "out", FIXTURES / name)
    )
    for field in fields.keys() - OLDER - {"dtype"}:
        assert expected.get(field) in (fields[field], None), field


@pytest.mark.parametrize("name", ["llama_sharded", "gpt2", "neox", "bert"])
def test_what_is_written_reads_back_bit_by_bit(name, tmp_path):
    model, params = interop.load_pretrained(FIXTURES / name)
    params = jax.tree.map(lambda x: x * np.float32(1.1), params)  # no longer exact in half precision
    interop.save_pretrained(tmp_path / "out", model, params)
    again, same = interop.load_pretrained(tmp_path / "out")
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, same, params)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (ModelConfig(), "LlamaForCausalLM"),
        (ModelConfig(kv_heads=1, head_width=48, activation="geglu", attention_bias="all"), "LlamaForCausalLM"),
        (ModelConfig(attention_bias="qkv", rotary_base=1e6), "Qwen2ForCausalLM"),
        (ModelConfig(qk_norm="head", tied_head=False), "Qwen3ForCausalLM"),
        (ModelConfig(qk_norm="full", norm_placement="output"), "Olmo2ForCausalLM"),
    ],
)
def test_the_architecture_follows_from_the_config(config, name):
    of_the_run = {"dtype": "bfloat16", "loop": "scan", "remat": "full", "vocab_multiple": 64, "init_std": 0.1}
    assert export.fitting(model_of(dataclasses.replace(config, **of_the_run))).name == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"config": ModelConfig(head_bias=True, logit_softcap=30.0)},
            r"The nearest is LlamaForCausalLM, and in the way are: model.head_bias=True \(there False\); "
            r"model.logit_softcap=30.0 \(there 0.0\).",
        ),
        ({"config": ModelConfig(attention_bias="qkv", qk_norm="head")}, "in the way are: model.qk_norm='head'"),
        ({"config": ModelConfig(rotary_fraction=0.5)}, "in the way are: model.rotary_fraction=0.5"),
        ({"objective": masked_diffusion()}, "objective.layout='bidirectional' .there 'causal'.; objective.predicts"),
        ({"mask": masks.window(5)}, "in the way are: a mask of its own"),
    ],
)
def test_a_network_of_our_own_is_refused_with_what_stands_in_the_way(changes, message, tmp_path):
    with pytest.raises(ConfigError, match="transformers has no network like this one. .*" + message):
        interop.save_pretrained(tmp_path / "out", model_of(**{"config": ModelConfig()} | changes), {})
    assert not (tmp_path / "out").exists()


def test_padding_of_the_vocabulary_stays_behind_and_the_tokenizer_comes_along(tmp_path):
    config = ModelConfig(width=8, heads=2, kv_heads=1, ffn=8, layers=1, vocab_multiple=64, tied_head=False)
    params = jax.tree.map(lambda leaf: np.random.rand(*leaf.shape), parameters.leaves(config, 61))
    model = model_of(config, special={"pad": 0, "bos": 1, "eos": 2, "mask": 3})
    added = [{"id": n, "content": f"<{role}>", "special": True} for role, n in model.special.items() if role != "pad"]
    tokenizer = json.dumps({"added_tokens": added}).encode()
    interop.save_pretrained(tmp_path, model, params, files={"tokenizer.json": tokenizer}, never_ids=(3, 1, 0))

    tensors = stored(tmp_path)
    np.testing.assert_array_equal(tensors["lm_head.weight"], params["head"]["kernel"][:61].astype(np.float32))
    assert tensors["model.embed_tokens.weight"].shape == (61, 8)
    assert (tmp_path / "tokenizer.json").read_bytes() == tokenizer
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 12,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "mask_token": "<mask>",
    }
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    assert (generation["suppress_tokens"], generation["eos_token_id"]) == ([0, 1, 3], 2)

    with pytest.raises(ConfigError, match="holds files already, .*; choose a new directory"):
        interop.save_pretrained(tmp_path, model, params)


def test_large_networks_are_cut_into_files_under_an_index(tmp_path):
    tensors = {name: np.full(4, n, np.float32) for n, name in enumerate("abcde")}
    directory = epath.Path(tmp_path)
    tensor_files.write(directory, tensors.items(), shard_bytes=32)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 80}
    assert [index["weight_map"][name][6:11] for name in "abcde"] == ["00001", "00001", "00002", "00002", "00003"]
    with tensor_files.opened(directory) as opened:
        assert {name: opened.read(name)[0] for name in opened.names} == dict(zip("abcde", range(5)))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_transformers_answers_the_same_from_what_is_written(name, tmp_path):
    python = os.environ.get("TRANSFORMERS_PYTHON")
    if not python:
        pytest.skip("TRANSFORMERS_PYTHON names no Python that has torch and transformers")
    interop.save_pretrained(tmp_path / "out", *interop.load_pretrained(FIXTURES / name))
    ids_BT, expected_BTV = answers(name)
    np.save(tmp_path / "ids.npy", ids_BT)
    script = [FIXTURES / "answer_with_transformers.py", tmp_path / "out", tmp_path / "ids.npy", tmp_path / "logits.npy"]
    subprocess.run([python, *script], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected_BTV, rtol=0, atol=1e-6)
