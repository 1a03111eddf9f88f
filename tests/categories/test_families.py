"""Every family: concrete tokens and the labels they must get, and the laws that hold for any vocabulary."""

import pkgutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.categories import families
from hybridlm.categories.families import FAMILIES, frequency_mass, frequency_rank, keyword
from hybridlm.categories.family import Family, labels_of
from hybridlm.categories.vocabulary import Vocabulary, of_tokenizer
from hybridlm.config.errors import ConfigError

BY_TOKEN = {
    "character_type": {
        b" def": "letters",
        b"def": "letters",
        "नमस्ते".encode(): "letters",
        b"42": "digits",
        "٤٢".encode(): "digits",
        b"x1": "mixed",
        b"'s": "mixed",
        b"3.14": "mixed",
        b".": "punctuation",
        b'."\n': "punctuation",
        b" +=": "symbol",
        b"\x00": "symbol",
        b"\n    ": "whitespace",
        b" ": "whitespace",
        b")": "bracket",
        b" ();": "bracket",
        b"\xe2\x82": "partial_utf8",
        b" \xe6": "partial_utf8",
        b"": "special",
    },
    "digits": {b" def": "none", b"7": "one", b" x1": "one", b"42": "two", b"2026": "three_or_more", b"": "none"},
    "punctuation": {
        b".": "sentence_end",
        b"?\n\n": "sentence_end",
        "。".encode(): "sentence_end",
        b" ,": "comma_semicolon_colon",
        b"'": "quote",
        "„".encode(): "quote",
        b" -": "dash",
        "—".encode(): "dash",
        b"(": "other",
        b"/": "other",
        b"+=": "none",
        b" !=": "none",
        b"'s": "none",
        b" def": "none",
        b"\xe2\x82": "none",
        b"": "none",
    },
    "bracket": {
        b"(": "open",
        b" foo[": "open",
        "「".encode(): "open",
        b")": "close",
        b"},\n": "close",
        b"()": "mixed",
        b")(": "mixed",
        b"<": "none",
        "„".encode(): "none",
        b" def": "none",
        b"": "none",
    },
    "whitespace": {
        b"\n": "newline",
        b"\r\n": "newline",
        b"  \n": "newline",
        b"\n\n": "blank_lines",
        b"\n\n    ": "blank_lines",
        b"\n    ": "indentation",
        b"\n\t": "indentation",
        b"    ": "indentation",
        b" ": "spaces",
        "\u00a0".encode(): "spaces",
        b"\t": "tab",
        b" def": "none",
        b".\n": "none",
        b"": "none",
    },
    "script": {
        b" 42 def": "latin",
        "Δx".encode(): "greek",
        " да".encode(): "cyrillic",
        "سلام".encode(): "arabic",
        "שלום".encode(): "hebrew",
        "नम".encode(): "devanagari",
        "漢".encode(): "han",
        "の".encode(): "kana",
        "한".encode(): "hangul",
        "ქ".encode(): "other_script",
        "漢".encode()[:2]: "no_letter",
        b"": "no_letter",
    },
    "byte_length": {
        b"": "none",
        b"a": "1",
        "é".encode(): "2",
        b"the": "3_4",
        b" the": "3_4",
        b" then": "5_8",
        b" because": "5_8",
        b" although": "9_or_more",
    },
    "word_place": {
        b" def": "word_start",
        b" (x": "word_start",
        b"ing": "continuation",
        b"'s": "continuation",
        b"42": "not_a_word",
        b"\xe2\x82": "not_a_word",
        b"": "not_a_word",
    },
}
"""Family -> token -> label."""

KEYWORDS = {
    "code_python": {b" def": "keyword", b"match": "keyword", b"SELECT": "not_a_keyword", b"_": "not_a_keyword"},
    "sql": {b" SELECT": "keyword", b"select": "keyword", b"def": "not_a_keyword"},
    "yaml_json": {b"null": "keyword", b"yes": "keyword", b"def": "not_a_keyword"},
    "rust": {b"fn": "keyword", b" match": "keyword", b"def": "not_a_keyword"},
    "prose": {b" for": "other_language", b"select": "other_language", b"": "other_language"},
}
"""Domain -> token -> label of the family `keyword`."""

ELSEWHERE = {"frequency_rank", "frequency_mass", "keyword", "domain"}
"""Families that do not follow from one token; they have tests of their own below."""

TOKENS = st.lists(st.binary(max_size=6) | st.text(max_size=4).map(str.encode), min_size=1, max_size=30)


def test_every_module_is_a_row_of_the_table_and_has_a_test_here():
    modules = {module.name for module in pkgutil.iter_modules(families.__path__)}
    assert modules == {family.name for family in FAMILIES} == set(BY_TOKEN) | ELSEWHERE


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.name in BY_TOKEN], ids=lambda f: f.name)
def test_concrete_tokens_get_the_label_that_a_person_would_give(family):
    picture = BY_TOKEN[family.name]
    vocabulary = Vocabulary(tuple(picture), np.ones(len(picture), np.int64))
    assert dict(zip(picture, family.assign(vocabulary))) == picture
    assert set(picture.values()) == set(family.labels), "every label needs a picture"


def test_a_special_token_has_no_spelling():
    vocabulary = of_tokenizer([b"<|eos|>", b"<|eos|>"], np.ones(2, np.int64), {"eos": 0})
    by_name = {family.name: family for family in FAMILIES}
    assert by_name["character_type"].assign(vocabulary) == ["special", "mixed"]
    assert by_name["word_place"].assign(vocabulary) == ["not_a_word", "continuation"]


@settings(max_examples=60)
@given(tokens=TOKENS, data=st.data())
def test_every_token_gets_exactly_one_declared_label(tokens, data):
    counts_V = data.draw(st.lists(st.integers(0, 2**40), min_size=len(tokens), max_size=len(tokens)))
    vocabulary = Vocabulary(tuple(tokens), np.array(counts_V), ("prose", "sql"))
    for family in FAMILIES:
        if family.assign:
            names = np.array(family.assign(vocabulary))
            assert names.shape == ((2, len(tokens)) if family.column else (len(tokens),))
            assert set(names.flat) <= set(labels_of(family, vocabulary))


@settings(max_examples=60)
@given(token=st.binary(max_size=8))
def test_families_about_the_same_thing_agree(token):
    label = {
        family.name: family.assign(Vocabulary((token,), np.ones(1, np.int64)))[0]
        for family in FAMILIES
        if family.name in BY_TOKEN
    }
    assert (label["whitespace"] == "none") or label["character_type"] == "whitespace"
    assert (label["digits"] != "none") or label["character_type"] != "digits"
    assert (label["bracket"] != "none") or label["character_type"] != "bracket"
    assert label["character_type"] != "letters" or label["word_place"] != "not_a_word"


def test_frequency_ranks_are_counted_from_one_and_unseen_ids_stand_apart():
    counts_V = np.concatenate([np.arange(60_000, 0, -1), [0]])
    labels = frequency_rank.assign(Vocabulary((b"x",) * len(counts_V), counts_V))
    assert [labels[place] for place in (0, 999, 1_000, 9_999, 10_000, 49_999, 50_000, 60_000)] == [
        *("top_1k", "top_1k", "1k_10k", "1k_10k", "10k_50k", "10k_50k", "beyond_50k", "unseen")
    ]


def test_equal_counts_are_ranked_by_id():
    labels = frequency_rank.assign(Vocabulary((b"x",) * 1_001, np.full(1_001, 7)))
    assert labels[999:] == ["top_1k", "1k_10k"]


def test_quarters_of_mass_hold_a_quarter_of_the_tokens_each():
    counts_V = 1_000_000 // np.arange(1, 5_000)
    labels = frequency_mass.assign(Vocabulary((b"x",) * len(counts_V), counts_V))
    share = Counter()
    for label, count in zip(labels, counts_V):
        share[label] += count / counts_V.sum()
    assert share.keys() == frequency_mass.LABELS.keys()
    assert all(0.2 < part < 0.3 for part in share.values()), share
    ranks = [tuple(frequency_mass.LABELS).index(label) for label in labels]
    assert ranks == sorted(ranks), "the rarer an id, the later its quarter"


def test_ids_without_training_counts_are_in_the_rarest_quarter():
    assert frequency_mass.assign(Vocabulary((b"a", b"b"), np.array([5, 0])))[1] == "rarest_quarter"
    assert set(frequency_mass.assign(Vocabulary((b"a", b"b"), np.array([0, 0])))) == {"rarest_quarter"}


@pytest.mark.parametrize("domain", KEYWORDS)
def test_keywords_depend_on_the_language_of_the_document(domain):
    picture = KEYWORDS[domain]
    vocabulary = Vocabulary(tuple(picture), np.ones(len(picture), np.int64), (domain,))
    assert dict(zip(picture, keyword.assign(vocabulary)[0])) == picture


def test_a_family_must_say_how_a_token_gets_its_label():
    with pytest.raises(ConfigError, match="family 'mine' has neither `assign` nor `column`"):
        Family(name="mine", question="?", labels={"a": "one"})


def test_a_family_must_fit_its_table():
    with pytest.raises(ConfigError, match="family 'mine' has 129 labels, but 1 to 128 fit"):
        Family(name="mine", question="?", labels={str(n): "" for n in range(129)}, column="word_band")


def test_counts_must_be_of_the_same_vocabulary():
    with pytest.raises(ConfigError, match="one training count per id, but there are 1 ids and 2 counts"):
        Vocabulary((b"x",), np.ones(2, np.int64))
