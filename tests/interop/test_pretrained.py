"""Networks as `transformers` saved them answer here as they answered there, and what is not theirs is refused."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

from hybridlm import interop, masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import autoregressive, masked_diffusion
from hybridlm.sharding import rules
from tests.interop.networks import FIXTURES, answers, logits

NETWORKS = [
    "llama",
    "llama_sharded",
    "qwen2",
    "qwen3",
    "olmo2",
    "gpt2",
    "neox",
    "neox_serial",
    "bert",
    "llada",
    "dream",
]


@pytest.fixture
def copy(tmp_path):
    """A function that copies a network into a directory of the test."""
    return lambda name: pathlib.Path(shutil.copytree(FIXTURES / name, tmp_path / name))


def edit_config(directory, drop=(), **changes):
    path = directory / "config.json"
    fields = {name: value for name, value in json.loads(path.read_text()).items() if name not in drop}
    path.write_text(json.dumps(fields | changes))


def edit_weights(directory, change):
    path = directory / "model.safetensors"
    safetensors.numpy.save_file(change(safetensors.numpy.load_file(path)), path)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_numbers_as_transformers(name):
    model, params = interop.load_pretrained(FIXTURES / name)
    ids_BT, expected_BTV = answers(name)
    np.testing.assert_allclose(logits(model, params, ids_BT), expected_BTV, rtol=0, atol=1e-5)


def test_a_window_of_earlier_tokens_is_a_mask_beside_the_network():
    model, params = interop.load_pretrained(FIXTURES / "qwen2_window")  # 3 tokens, the one that looks included
    ids_BT, expected_BTV = answers("qwen2_window")
    assert model.mask == masks.window(2)
    np.testing.assert_allclose(logits(model, params, ids_BT, window=2), expected_BTV, rtol=0, atol=1e-5)


def test_what_a_network_was_trained_for_comes_with_it():
    llada, dream = (interop.describe(FIXTURES / name) for name in ("llada", "dream"))
    assert (llada.objective, llada.special) == (masked_diffusion(), {"mask": 60})
    assert (dream.objective, dream.special) == (masked_diffusion(predicts="next"), {"mask": 60})
    assert "none of it runs" in llada.notes[0]
    gpt2 = interop.describe(FIXTURES / "gpt2")
    assert (gpt2.objective, gpt2.context, gpt2.notes) == (autoregressive(), 12, ())


def test_a_published_model_and_a_run_are_told_apart(tmp_path):
    assert interop.is_published(FIXTURES / "llama")
    assert not interop.is_published(tmp_path)
    (tmp_path / "config.json").write_text('{"name": "quickstart", "model": {}}')
    assert not interop.is_published(tmp_path)


def test_fields_of_older_files_say_the_same(copy):
    new, old = FIXTURES / "neox", copy("neox")
    edit_config(old, drop=["rope_parameters", "dtype"], rotary_emb_base=10_000, rotary_pct=0.5, torch_dtype="bfloat16")
    assert interop.describe(old) == interop.describe(new)


def test_a_field_that_nobody_reads_is_noted(copy):
    directory = copy("llama")
    edit_config(directory, residual_multiplier=0.5, initializer_range=0.1)
    assert interop.describe(directory).notes == ("config.json has fields that nobody here reads: residual_multiplier.",)


def test_networks_saved_without_their_head_and_with_constants_of_old(copy):
    directory = copy("gpt2")
    bare = {"h.0.attn.bias": np.ones((1, 1, 12, 12), np.float32)}
    edit_weights(directory, lambda all: bare | {name.removeprefix("transformer."): all[name] for name in all})
    assert_equal(interop.load_pretrained(directory)[1], interop.load_pretrained(FIXTURES / "gpt2")[1])


def test_bert_under_its_first_names_and_with_its_other_heads(copy):
    directory = copy("bert")
    others = {
        "bert.pooler.dense.weight": np.ones((16, 16), np.float32),
        "cls.seq_relationship.bias": np.ones(2, np.float32),
    }

    def first(name):
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    edit_weights(directory, lambda all: others | {first(name): all[name] for name in all})
    assert_equal(interop.load_pretrained(directory)[1], interop.load_pretrained(FIXTURES / "bert")[1])


def test_a_tied_head_may_be_stored_once_more(copy):
    directory = copy("qwen2")
    edit_weights(directory, lambda all: all | {"lm_head.weight": all["model.embed_tokens.weight"].copy()})
    assert_equal(interop.load_pretrained(directory)[1], interop.load_pretrained(FIXTURES / "qwen2")[1])
    edit_weights(directory, lambda all: all | {"lm_head.weight": 2 * all["lm_head.weight"]})
    with pytest.raises(ConfigError, match="'lm_head.weight' differs from 'model.embed_tokens.weight'; set"):
        interop.load_pretrained(directory)


def test_every_leaf_goes_where_it_belongs_before_the_next_is_read(monkeypatch):
    model = interop.describe(FIXTURES / "llama")
    whole = interop.load_params(FIXTURES / "llama", model)
    mesh = jax.make_mesh((1, 2, 2), ("data", "fsdp", "tensor"))
    wanted = rules.shardings(
        jax.eval_shape(lambda: whole), mesh, [(".*qkv", jax.P(None, "fsdp", "tensor")), (".*", jax.P())]
    )
    placed, put = [], jax.device_put
    monkeypatch.setattr(jax, "device_put", lambda leaf, where: placed.append(where) or put(leaf, where))
    cut = interop.load_params(FIXTURES / "llama", model, wanted)
    assert placed == jax.tree.leaves(wanted)
    assert jax.tree.map(lambda leaf: leaf.sharding, cut) == wanted
    assert_equal(cut, whole)


def test_rows_of_zeros_follow_for_ids_that_only_the_tokenizer_has():
    model = interop.describe(FIXTURES / "neox")
    params = interop.load_params(FIXTURES / "neox", model)
    more = interop.load_params(FIXTURES / "neox", model, rows=64)
    for wide, narrow in (
        (more["embedding"]["tokens"], params["embedding"]["tokens"]),
        (more["head"]["kernel"], params["head"]["kernel"]),
    ):
        np.testing.assert_array_equal(wide, np.concatenate([narrow, np.zeros((3, 16))]))


def test_the_fingerprint_knows_every_byte_of_what_is_scored(copy):
    directory = copy("llama_sharded")
    before = interop.fingerprint(directory)
    assert before == interop.fingerprint(FIXTURES / "llama_sharded")
    (directory / "README.md").write_text("not part of it")
    assert before == interop.fingerprint(directory)
    path = directory / "model-00004-of-00004.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert before != interop.fingerprint(directory)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["GemmaForCausalLM"]},
            "no table for the architecture 'GemmaForCausalLM' of config.json; (did you mean|known are)",
        ),
        ({"architectures": None}, "no table for the architecture 'none'"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "scales its rotary positions .*'llama3'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "scales its rotary positions .*'linear'"),
        ({"hidden_act": "relu2"}, "hidden_act='relu2', which this decoder does not have, .*; it has 'silu', 'gelu'"),
        ({"hidden_size": None}, "config.json lacks 'hidden_size'"),
        ({"quantization_config": {"bits": 4}}, "has quantization_config: .* Take the unquantised ones"),
        ({"num_hidden_layers": 3}, "lack model.layers.2.input_layernorm.weight, .* and 5 more, which LlamaForCausalLM"),
        ({"num_hidden_layers": 1}, "also hold model.layers.1.input_layernorm.weight, .* and 5 more, which LlamaForC"),
        ({"attention_bias": True}, "lack model.layers.0.self_attn.k_proj.bias, "),
        ({"vocab_size": 64}, r"'model.embed_tokens.weight' has shape \(61, 16\), and config.json asks for \(64, 16\)"),
        ({"head_dim": 8}, r"o_proj.weight' has shape \(16, 16\), and config.json asks for \(16, 32\)"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_by_name(copy, changes, message):
    directory = copy("llama")
    edit_config(directory, **changes)
    with pytest.raises(ConfigError, match=message):
        interop.load_pretrained(directory)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True, which this decoder"),
        ("llada", {"block_type": "sequential"}, "block_type='sequential', which this decoder does not have"),
        (
            "qwen2_window",
            {"layer_types": ["full_attention", "sliding_attention"]},
            "gives some layers a window of 3 tokens and others none",
        ),
    ],
)
def test_features_of_one_family_are_refused_by_name(copy, name, changes, message):
    directory = copy(name)
    edit_config(directory, **changes)
    with pytest.raises(ConfigError, match=message):
        interop.describe(directory)


def cut_short(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def make_integer(directory):
    edit_weights(directory, lambda all: all | {"model.norm.weight": np.ones(16, np.int8)})


def only_pickled(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def without_weights(directory):
    (directory / "model.safetensors").unlink()


def without_config(directory):
    (directory / "config.json").unlink()


def unreadable_config(directory):
    (directory / "config.json").write_text("<html>404</html>")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, r"model.safetensors \(13732 bytes\) is damaged or cut short .*fetch it again"),
        (make_integer, "'model.norm.weight' is stored as I8, and only F32, F16, BF16 are read"),
        (only_pickled, r"only as pickles \(pytorch_model.bin\), which can run any code .* Take the safetensors"),
        (without_weights, "holds no weights: neither model.safetensors nor model.safetensors.index.json"),
        (without_config, "has no config.json, so it is no directory of a published model"),
        (unreadable_config, "config.json is no JSON .*fetch it anew"),
    ],
)
def test_damaged_directories_are_refused(copy, damage, message):
    directory = copy("llama")
    damage(directory)
    with pytest.raises(ConfigError, match=message):
        interop.load_pretrained(directory)


def test_an_index_must_agree_with_its_files(copy):
    directory = copy("llama_sharded")
    model = interop.describe(directory)
    shutil.copy(directory / "model-00004-of-00004.safetensors", directory / "model-00003-of-00004.safetensors")
    with pytest.raises(ConfigError, match="and the files it names disagree about"):
        interop.load_params(directory, model)
    (directory / "model-00002-of-00004.safetensors").unlink()
    with pytest.raises(ConfigError, match="lacks model-00002-of-00004.safetensors, which its model.safetensors.index"):
        interop.load_params(directory, model)


def test_an_index_never_leads_out_of_its_directory(copy):
    directory = copy("llama_sharded")
    index = directory / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00002-of", "../model-00002-of"))
    with pytest.raises(
        ConfigError, match=r"names \['../model-00002-of-00004.safetensors'\], which do not lie beside it"
    ):
        interop.load_params(directory, interop.describe(directory))


def test_a_bucket_is_no_local_directory():
    model = interop.describe(FIXTURES / "llama")
    with pytest.raises(ConfigError, match="gs://bucket/llama is no local directory, .*copy it to a local disk"):
        interop.load_params("gs://bucket/llama", model)


def assert_equal(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
