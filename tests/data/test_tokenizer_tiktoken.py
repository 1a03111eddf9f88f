import base64
import sys

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.errors import ConfigError
from hybridlm.data import tokenizer_files, tokenizer_json, tokenizer_tiktoken

TEXT = "The cat's 12345 mats: naïve 漢字 😀\n\n  def f(x):\r\n\treturn  x+100000 THEY'LL don't  \n <eos>" * 2
BYTES = [bytes([n]) for n in range(255, -1, -1)]
HAND_MADE = [*BYTES, b"th", b"he", b"the", b" the", b"12", b"23", b"123", b"ab", b"aa", b"aaa", b"  ", b"\n\n"]


@pytest.fixture(scope="session")
def learned() -> list[bytes]:
    """256 bytes and the merges of a small corpus, in their order."""
    trained = tokenizer_json.train([TEXT, "a b c the cat sat on the mat " * 9], 420)
    return [piece for piece in trained.token_bytes if piece]


def ranked(tokens) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def reference(tokens, encoding):
    """The library itself, with the pattern as it stands there."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    pattern = tokenizer_tiktoken._pattern(encoding).replace("{1,3}", "{1,3}+")
    return tiktoken.Encoding("own", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


@pytest.mark.parametrize("encoding", tokenizer_tiktoken.ENCODINGS)
def test_ids_are_those_of_tiktoken(learned, encoding):
    for tokens in (HAND_MADE, learned):
        expected = reference(tokens, encoding)
        tokenizer = tokenizer_tiktoken.from_bytes(ranked(tokens), encoding)
        assert tokenizer.encode_batch([TEXT])[0].tolist() == expected.encode_ordinary(TEXT)


@pytest.fixture(scope="module")
def both(learned):
    return tokenizer_tiktoken.from_bytes(ranked(learned), "cl100k_base"), reference(learned, "cl100k_base")


@settings(max_examples=150)
@given(text=st.text(max_size=20) | st.text(alphabet="ab the1239'LLs \n\t", max_size=40))
def test_ids_of_any_text_are_those_of_tiktoken_and_join_to_its_bytes(both, text):
    tokenizer, expected = both
    (ids,) = tokenizer.encode_batch([text])
    assert ids.tolist() == expected.encode_ordinary(text)
    assert tokenizer.to_bytes(ids.tolist()) == text.encode()


def test_every_rank_is_an_id_and_the_specials_follow():
    tokenizer = tokenizer_tiktoken.from_bytes(ranked(HAND_MADE), "cl100k_base")
    end = len(HAND_MADE)
    assert list(tokenizer.token_bytes[:end]) == HAND_MADE
    assert (tokenizer.pad, tokenizer.bos, tokenizer.eos, tokenizer.mask) == (end, end + 1, end + 2, end + 3)
    assert tokenizer.token_bytes[end:] == (b"",) * 4
    (ids,) = tokenizer.encode_batch(["the <eos>"])
    assert tokenizer.decode(ids.tolist()) == "the <eos>" and ids.max() < end


def test_digits_are_cut_in_threes():
    """Written for another library, `{1,3}+` would be taken as any number of threes."""
    tokens = [*BYTES, b"12", b"123", b"45", b"1234", b"12345"]
    tokenizer = tokenizer_tiktoken.from_bytes(ranked(tokens), "cl100k_base")
    assert [tokenizer.token_bytes[n] for n in tokenizer.encode_batch(["12345"])[0]] == [b"123", b"45"]


@pytest.mark.parametrize("name", ["cl100k_base.tiktoken", "own.o200k_base.tiktoken"])
def test_a_rank_file_is_read_by_name_and_saved_without_need_of_the_package(name, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(ranked(HAND_MADE))
    tokenizer = tokenizer_files.load(tmp_path / name)
    assert tokenizer_files.load(tmp_path / name).sha256 == tokenizer.sha256
    tokenizer.save(tmp_path)
    for package in ("tiktoken", "tiktoken_ext", "tiktoken_ext.openai_public"):
        monkeypatch.setitem(sys.modules, package, None)
    loaded = tokenizer_files.load(tmp_path)
    assert loaded == tokenizer and loaded.sha256 == tokenizer.sha256
    assert np.array_equal(loaded.encode_batch([TEXT])[0], tokenizer.encode_batch([TEXT])[0])


def test_a_file_named_after_no_encoding_is_refused_with_the_names_there_are(tmp_path):
    (tmp_path / "mine.tiktoken").write_bytes(ranked(HAND_MADE))
    with pytest.raises(ConfigError, match="'mine' is none of r50k_base, p50k_base, cl100k_base, o200k_base. Call it"):
        tokenizer_files.load(tmp_path / "mine.tiktoken")


def test_a_rank_file_without_all_bytes_is_refused(tmp_path):
    (tmp_path / "cl100k_base.tiktoken").write_bytes(ranked(HAND_MADE[9:]))
    with pytest.raises(ConfigError, match="has no token for 9 of the 256 bytes, so it cannot write every text. Take a"):
        tokenizer_files.load(tmp_path / "cl100k_base.tiktoken")


@pytest.mark.parametrize("content", [b"?? 1\n", b"YQ==\n", b"YQ== one\n", b"\xff\xfe"])
def test_a_file_that_holds_no_ranks_is_refused_by_name(content, tmp_path):
    (tmp_path / "cl100k_base.tiktoken").write_bytes(content)
    with pytest.raises(ConfigError, match="cl100k_base.tiktoken cannot be read as a tokenizer .* is it the file it is"):
        tokenizer_files.load(tmp_path / "cl100k_base.tiktoken")
