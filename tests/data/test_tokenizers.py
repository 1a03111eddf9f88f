import io
import json

import numpy as np
import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from hybridlm.config.errors import ConfigError
from hybridlm.data import tokenizer_files, tokenizer_json, tokenizer_sentencepiece

TEXTS = ["The cat sat on the mat.\n  It's 17 o'clock — naïve, 漢字 😀\t" * 3, "def f(x):\n    return x + 1\n"] * 8


@pytest.fixture(scope="module")
def trained():
    return tokenizer_json.train(TEXTS, 300)


@pytest.fixture(scope="module")
def sentencepiece_model():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        model_type="bpe",
        vocab_size=340,
        byte_fallback=True,
        normalization_rule_name="identity",
        character_coverage=0.98,
        minloglevel=2,
    )
    return model.getvalue()


def exact(tokenizer, text):
    (ids,) = tokenizer.encode_batch([text])
    return tokenizer.to_bytes(ids.tolist()) == text.encode() and tokenizer.decode(ids.tolist()) == text


@settings(max_examples=200)
@given(text=st.text(max_size=30))
def test_token_bytes_join_to_the_bytes_of_any_text(trained, text):
    assert exact(trained, text)


def test_training_gives_the_same_vocabulary_twice(trained):
    assert tokenizer_json.train(TEXTS, 300).sha256 == trained.sha256
    assert tokenizer_json.train(TEXTS, 290).sha256 != trained.sha256


def test_specials_come_first_and_every_byte_has_an_id(trained):
    assert (trained.pad, trained.bos, trained.eos, trained.mask, trained.vocab_size) == (0, 1, 2, 3, 300)
    assert {bytes([n]) for n in range(256)} <= set(trained.token_bytes)


def test_a_special_token_written_in_a_text_is_text(trained):
    (ids,) = trained.encode_batch(["a<eos>b<pad>"])
    assert not {trained.pad, trained.bos, trained.eos, trained.mask} & set(ids.tolist())
    assert trained.decode(ids.tolist()) == "a<eos>b<pad>"


@pytest.mark.parametrize("kind", ["json", "sentencepiece"])
def test_a_saved_tokenizer_is_the_same_tokenizer(kind, trained, sentencepiece_model, tmp_path):
    tokenizer = trained if kind == "json" else tokenizer_sentencepiece.from_bytes(sentencepiece_model)
    tokenizer.save(tmp_path)
    loaded = tokenizer_files.load(tmp_path)
    assert loaded == tokenizer and loaded.sha256 == tokenizer.sha256
    assert [ids.tolist() for ids in loaded.encode_batch(TEXTS)] == [
        ids.tolist() for ids in tokenizer.encode_batch(TEXTS)
    ]


def test_a_sentencepiece_model_is_taken_over_without_inventing_spaces(sentencepiece_model):
    tokenizer = tokenizer_sentencepiece.from_bytes(sentencepiece_model)
    for text in ["The cat", " the  cat\n\n", "Ω is not in it", "\ttab", *TEXTS]:
        assert exact(tokenizer, text), text
    size = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model).vocab_size()
    assert (tokenizer.bos, tokenizer.eos) == (1, 2)
    assert (tokenizer.pad, tokenizer.mask, tokenizer.vocab_size) == (size, size + 1, size + 2), (
        "the missing ones follow"
    )


def test_a_tokenizer_json_without_specials_gets_them_after_its_end():
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=280, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    tokenizer = tokenizer_json.from_bytes(backend.to_str().encode())
    assert (tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.mask) == (0, 0, 280, 281)
    assert exact(tokenizer, "The cat"), "add_prefix_space would put a space in front"


def llama_like() -> bytes:
    """A `tokenizer.json` as Llama 2 writes it: a space put before the text, ▁ for spaces, bytes as <0xNN>."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁", "c", "a", "t", "▁c", "at", "▁cat"]
    backend = tokenizers.Tokenizer(
        models.BPE(
            vocab={piece: n for n, piece in enumerate(pieces)},
            merges=[("▁", "c"), ("a", "t"), ("▁c", "at")],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    backend.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return backend.to_str().encode()


def test_a_tokenizer_json_with_byte_fallback_is_exact_too():
    tokenizer = tokenizer_json.from_bytes(llama_like())
    for text in ["cat cat", " cat", "dog\n", "漢字"]:
        assert exact(tokenizer, text), text
    (ids,) = tokenizer.encode_batch(["cat cat"])
    assert [tokenizer.token_bytes[n] for n in ids] == [b"c", b"at", b" cat"]


def test_byte_lengths_are_those_of_the_token_bytes(trained):
    assert np.array_equal(trained.byte_lengths, [len(piece) for piece in trained.token_bytes])


@pytest.mark.parametrize("name", ["missing.json", "vocabulary.txt"])
def test_a_file_that_is_no_tokenizer_is_refused_by_name(name, tmp_path):
    (tmp_path / "vocabulary.txt").write_text("a\nb\n")
    with pytest.raises(ConfigError, match=rf"data.tokenizer='.*{name}' is no tokenizer: give a tokenizer.json, a sent"):
        tokenizer_files.load(tmp_path / name)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
def test_a_damaged_tokenizer_file_is_refused_by_name(name, tmp_path):
    (tmp_path / name).write_bytes(json.dumps({"model": "none"}).encode())
    with pytest.raises(ConfigError, match=f"{name} cannot be read as a tokenizer .* is it the file it is named for"):
        tokenizer_files.load(tmp_path)
