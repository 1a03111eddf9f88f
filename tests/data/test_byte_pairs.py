"""Two engines and one definition: what tiktoken encodes is what `tokenizers` makes of the same file."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.data import byte_pairs, tokenizer_json

BYTES = [bytes([n]) for n in range(256)]
TEXTS = st.text(max_size=30) | st.text(alphabet="abab  \n'lst.1", max_size=60)


def other_engine(content):
    """What `tokenizers` alone makes of a file."""
    backend = tokenizers.Tokenizer.from_str(content.decode())
    backend.encode_special_tokens = True
    return lambda text: backend.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def trained():
    texts = ["the cat sat on the mat, and the hat's hat\n" * 5, "naïve 漢字 1,000 + 2,000 = 3,000\n\n\n   x" * 4]
    return tokenizer_json.train(texts, 380)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_a_trained_tokenizer_is_the_same_in_both(trained, text):
    (ids,) = trained.encode_batch([text])
    assert ids.tolist() == other_engine(trained.content)(text)
    assert trained.to_bytes(ids.tolist()) == text.encode()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_tokens_that_grow_from_each_other_are_the_same_in_both(data):
    """Tokens of two letters in any order of rank, so that many pairs overlap and join to the same token."""
    tokens = [b"a", b"b"]
    for _ in range(data.draw(st.integers(1, 8))):
        joined = data.draw(st.sampled_from(tokens)) + data.draw(st.sampled_from(tokens))
        tokens += [joined] * (joined not in tokens)
    ranks = {token: rank for rank, token in enumerate([*BYTES, *tokens[2:]])}
    content = byte_pairs.backend(ranks).to_str().encode()
    tokenizer = tokenizer_json.from_bytes(content)
    for text in data.draw(st.lists(st.text(alphabet="ab", max_size=24), max_size=6)):
        assert tokenizer.encode_batch([text])[0].tolist() == other_engine(content)(text)


def test_the_rank_of_a_token_decides_and_not_the_pair_it_was_learned_from(trained):
    """Trained pairs are one for each token; the file names all, and that changes no id of ordinary text."""
    merges = json.loads(trained.content)["model"]["merges"]
    assert ["0", "00"] in merges and ["00", "0"] in merges


@pytest.mark.parametrize(
    ("change", "engine"),
    [
        (lambda fields: None, "both"),
        (lambda fields: fields.update(normalizer={"type": "NFC"}), "tokenizers"),
        (lambda fields: fields["model"].update(ignore_merges=False), "tokenizers"),
        (lambda fields: fields["model"].update(dropout=0.1), "tokenizers"),
        (lambda fields: fields["model"]["merges"].clear(), "tokenizers"),
        (lambda fields: fields["model"]["vocab"].pop("x"), "tokenizers"),
        (lambda fields: fields["pre_tokenizer"].update(use_regex=False), "tokenizers"),
        (lambda fields: fields.update(pre_tokenizer=None), "tokenizers"),
    ],
)
def test_only_a_file_of_this_kind_is_given_to_the_faster_engine(change, engine):
    fields = json.loads(byte_pairs.backend({token: n for n, token in enumerate([*BYTES, b"ab"])}).to_str())
    change(fields)

    def otherwise(texts):
        return iter([])

    assert (byte_pairs.encoder(fields, otherwise) is otherwise) == (engine == "tokenizers")


def test_white_space_that_one_engine_cannot_take_goes_to_the_other(trained, monkeypatch):
    monkeypatch.setattr(byte_pairs, "_LONG_SPACE", byte_pairs.re.compile(r"\s{9}"))
    texts = ["a  b", "a" + " " * 20 + "b", "c", "\n" * 9]
    assert [trained.decode(ids.tolist()) for ids in trained.encode_batch(texts)] == texts


def test_a_megabyte_of_spaces_is_encoded(trained):
    text = "a" + " " * 1_000_000 + "b"
    assert trained.to_bytes(trained.encode_batch([text])[0].tolist()) == text.encode()
