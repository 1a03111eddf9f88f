import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from hybridlm.categories import alignment
from hybridlm.config.errors import ConfigError
from hybridlm.data import tokenizer_json


@st.composite
def cut_bytes(draw):
    """(bytes with spaces among them, label of each, ends of tokens, some of them empty)"""
    text = draw(st.lists(st.sampled_from(list(b" \nab")), max_size=24))
    labels = draw(st.lists(st.integers(0, 4), min_size=len(text), max_size=len(text)))
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=12))
    ends = np.array(sorted([*cuts, len(text)]), np.int64)
    return np.array(text, np.uint8), np.array(labels, np.int8), ends


def by_hand(rule, labels, text):
    """The label of one token, byte by byte."""
    if not labels:
        return 0
    if rule == "any":
        return max(labels)
    if rule == "first":
        return next((label for label in labels if label), 0)
    labels = [label for label, byte in zip(labels, text) if byte not in b" \n"] or labels
    most = max(labels.count(label) for label in labels)
    return next(label for label in labels if labels.count(label) == most)


@settings(max_examples=150)
@given(cut_bytes())
def test_every_rule_is_the_loop_over_bytes(drawn):
    text, labels, ends = drawn
    begins = [0, *ends[:-1].tolist()]
    for rule in alignment.RULES:
        expected = [by_hand(rule, labels[b:e].tolist(), text[b:e].tolist()) for b, e in zip(begins, ends.tolist())]
        assert alignment.to_tokens(rule, labels, ends, text).tolist() == expected, rule


@settings(max_examples=80)
@given(cut_bytes())
def test_shares_are_the_bytes_of_each_label(drawn):
    _, labels, ends = drawn
    shares = alignment.split(labels, ends, 5)
    for row, begin, end in zip(shares, [0, *ends[:-1].tolist()], ends.tolist()):
        part = labels[begin:end].tolist()
        assert (
            row.tolist() == [part.count(n) / len(part) for n in range(5)] if part else row.tolist() == [1, 0, 0, 0, 0]
        )


def test_shares_weigh_the_same_text_equally_under_two_tokenizers():
    labels, nats_per_byte = np.array([1, 1, 2, 2, 2, 1], np.int8), 0.5
    totals = []
    for ends in (np.array([1, 3, 6]), np.array([2, 4, 5, 6])):
        nats_N = np.diff(ends, prepend=0) * nats_per_byte
        totals.append((nats_N @ alignment.split(labels, ends, 3)).tolist())
    assert totals[0] == totals[1] == [0, 1.5, 1.5]


def test_ends_are_sums_of_token_bytes():
    tokens = ["é".encode()[:1], "é".encode()[1:], b"", b" x"]
    assert alignment.byte_ends("é x", np.array([0, 1, 2, 3]), tokens).tolist() == [1, 2, 2, 4]


@pytest.mark.parametrize(
    ("tokens", "text", "said"),
    [
        ([b"the", b" cat"], "The cat", r"spell b'the cat' at byte 0 where the text has b'The cat', so nobody"),
        ([b"a"], "a ", r"spell b'' at byte 1 where the text has b' '"),
        ([b"a", b"<eos>"], "a", r"spell b'<eos>' at byte 1 .* or a special token is among them"),
    ],
)
def test_a_tokenizer_that_changes_the_text_is_refused(tokens, text, said):
    with pytest.raises(ConfigError, match=said):
        alignment.byte_ends(text, np.arange(len(tokens)), tokens)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(ConfigError, match="character 1 of the text is half a surrogate pair"):
        alignment.byte_ends("a\ud800", np.array([0]), [b"a"])


def test_ends_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="there are 3 token ids and 2 byte ends"):
        alignment.check_ends(np.array([1, 2]), 3, 2)
    with pytest.raises(ConfigError, match="must end with the text, at byte 3, but it ends at 2; do the ends count"):
        alignment.check_ends(np.array([1, 2]), 2, 3)
    with pytest.raises(ConfigError, match="must never fall, but token 1 ends before it begins"):
        alignment.check_ends(np.array([2, 1, 3]), 3, 3)


TEXT = "naïve 漢字 😀, don’t"


def test_defect_10_tokens_inside_one_character_have_ends_of_their_own():
    """Offsets in characters are the same for all tokens of a character; ends in bytes are not."""
    tokenizer = tokenizer_json.train(["plain ascii only"], 264)
    (ids,) = tokenizer.encode_batch([TEXT])
    ends = alignment.byte_ends(TEXT, ids, tokenizer.token_bytes)
    assert len(ends) == len(TEXT.encode()) and ends.tolist() == list(range(1, len(ends) + 1))
    characters = np.repeat(np.arange(len(TEXT), dtype=np.int8), [len(c.encode()) for c in TEXT])
    assert "".join(TEXT[n] for n in np.unique(alignment.to_tokens("majority", characters, ends, utf8(TEXT)))) == TEXT


def test_defect_10_leading_spaces_are_not_trimmed():
    """`trim_offsets` of the tokenizers library takes spaces out of the offsets, so that these do not cover a text."""
    backend = Tokenizer.from_str(tokenizer_json.train(["to  be"], 300).content.decode())
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    assert sum(end - begin for begin, end in backend.encode("to  be").offsets) < len("to  be")
    ends = alignment.byte_ends("to  be", np.array([0, 1, 2]), [b"to", b" ", b" be"])
    assert ends.tolist() == [2, 3, 6]
    labels = np.array([1, 1, 0, 0, 2, 2], np.int8)
    assert alignment.to_tokens("majority", labels, ends, utf8("to  be")).tolist() == [1, 0, 2]


def utf8(text):
    return np.frombuffer(text.encode(), np.uint8)
