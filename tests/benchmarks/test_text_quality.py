"""How generated texts are judged: by hand, and never by their likelihood alone, which repeating oneself wins."""

import math
import types

import pytest

from benchmarks import text_quality, text_worth


def test_entropy_and_distinct_ngrams_by_hand():
    """1 2 1 2: two tokens alike, and of its three pairs two differ."""
    assert text_quality.entropy([[1, 2, 1, 2]]) == pytest.approx(math.log(2))
    assert text_quality.distinct([[1, 2, 1, 2]], 1) == 0.5
    assert text_quality.distinct([[1, 2, 1, 2]], 2) == pytest.approx(2 / 3)


def test_a_text_of_one_word_is_likely_and_told_to_be_worth_nothing():
    tokenizer = types.SimpleNamespace(decode=lambda ids: "\n}{" * len(ids))
    told = text_worth.worth(tokenizer, lambda prompts, texts: 1.0, [[3]], [[7] * 8] * 4).strip().splitlines()
    assert told[0] == "perplexity 1.0, entropy 0.00 nats, distinct-1 0.125, distinct-2 0.143, distinct-3 0.167"
    assert told[1].strip().startswith("parses: python 0%") and told[1].endswith("of 1 each")
