import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.categories import lexicon, words
from hybridlm.categories.compiler import compile_document
from hybridlm.categories.lexicon import Lexicon
from hybridlm.categories.positions import word_band

LABELS = tuple(word_band.LABELS)
ALPHABET = "abE'’éß漢😀 .7\n"


def words_of(text):
    found = words.find(text)
    return [found.distinct[n] for n in found.number_J]


def bands(text, token_ends, ranks):
    ids = np.arange(len(token_ends))
    return compile_document((word_band.FAMILY,), text, ids, token_ends, lexicon=Lexicon(ranks=ranks))["word_band"]


def plain_words(text):
    """(first character, end, word) of every word, letter by letter."""
    is_letter = [c.isalpha() for c in text]
    inner = [c in "'’" and 0 < n < len(text) - 1 and is_letter[n - 1] and is_letter[n + 1] for n, c in enumerate(text)]
    found, begin = [], None
    for n in range(len(text) + 1):
        belongs = n < len(text) and (is_letter[n] or inner[n])
        if belongs and begin is None:
            begin = n
        if not belongs and begin is not None:
            found.append((begin, n, text[begin:n].replace("’", "'").lower()))
            begin = None
    return found


def plain_bands(text, token_ends, ranks):
    """The same labels, byte by byte."""
    word_of_byte = []
    spans = plain_words(text)
    for n, c in enumerate(text):
        owner = next((word for begin, end, word in spans if begin <= n < end), None)
        word_of_byte += [owner] * len(c.encode())
    limits = {1_000: "top_1k", 10_000: "1k_10k", 50_000: "10k_50k"}
    labels, start = [], 0
    for end in token_ends:
        word = next((owner for owner in word_of_byte[start:end] if owner is not None), None)
        if word is None:
            labels.append("not_a_word")
        elif word not in ranks:
            labels.append("unseen")
        else:
            labels.append(next((label for limit, label in limits.items() if ranks[word] < limit), "beyond_50k"))
        start = end
    return labels


@settings(max_examples=80)
@given(st.text(ALPHABET, max_size=40), st.data())
def test_labels_are_those_of_a_plain_reading(text, data):
    size = len(text.encode())
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=12)))
    token_ends = np.array([*cuts, size], np.int64)
    vocabulary = sorted({word for _, _, word in plain_words(text)})
    places = data.draw(st.lists(st.sampled_from([0, 999, 1_000, 9_999, 10_000, 49_999, 50_000, None]), max_size=12))
    ranks = {word: place for word, place in zip(vocabulary, places) if place is not None}
    labels = [LABELS[band] for band in bands(text, token_ends, ranks)]
    assert labels == plain_bands(text, token_ends.tolist(), ranks)


@settings(max_examples=80)
@given(st.text(ALPHABET, max_size=60))
def test_words_are_those_of_a_plain_reading(text):
    assert words_of(text) == [word for _, _, word in plain_words(text)]


def test_apostrophes_belong_to_a_word_only_inside_it():
    assert words_of("'Don’t' say o'clock, cats' x2y") == ["don't", "say", "o'clock", "cats", "x", "y"]


def test_ranks_count_words_and_break_ties_by_the_alphabet():
    assert lexicon.rank({"x": lexicon.count(["b a A"]), "y": lexicon.count(["c b a"])}) == {"a": 0, "b": 1, "c": 2}
    assert lexicon.rank({"x": lexicon.count(["z y"])}) == {"y": 0, "z": 1}


def test_a_token_of_space_and_word_has_the_label_of_the_word():
    text, ends = "see  the", np.array([3, 4, 8])
    assert bands(text, ends, {"the": 0}).tolist() == [LABELS.index("unseen"), 0, 1]
