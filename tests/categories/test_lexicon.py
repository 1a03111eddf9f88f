import sys
import types

import numpy as np
import pytest

from hybridlm.categories import lexicon
from hybridlm.categories.closed_class import CLASSES, class_of
from hybridlm.config.errors import ConfigError


def test_terms_are_words_of_one_domain_and_common_words_are_not():
    counts = {
        "biomedical": {"the": 900, "of": 300, "enzyme": 60, "patient": 40, "rare": 1},
        "prose": {"the": 1000, "of": 200, "parlour": 50, "patient": 38, "once": 1},
    }
    assert lexicon.domain_terms(counts, common=3) == {"biomedical": {"enzyme"}, "prose": {"parlour"}}
    assert lexicon.domain_terms(counts, common=4) == {"biomedical": frozenset(), "prose": {"parlour"}}


def test_log_odds_are_those_of_the_paper_word_by_word():
    here, there, prior = np.array([30.0, 5.0, 65.0]), np.array([10.0, 5.0, 185.0]), np.array([4.0, 1.0, 25.0])
    z = lexicon.log_odds(here, there, prior)
    for n in range(3):
        odds_here = (here[n] + prior[n]) / (here.sum() + prior.sum() - here[n] - prior[n])
        odds_there = (there[n] + prior[n]) / (there.sum() + prior.sum() - there[n] - prior[n])
        error = np.sqrt(1 / (here[n] + prior[n]) + 1 / (there[n] + prior[n]))
        np.testing.assert_allclose(z[n], np.log(odds_here / odds_there) / error)
    np.testing.assert_allclose(lexicon.log_odds(there, here, prior), -z)


def test_ranks_come_from_wordfreq_where_nothing_was_counted(monkeypatch):
    listed = types.SimpleNamespace(top_n_list=lambda language, n: ["the", "1984", "co-op", "don't", "cat"])
    monkeypatch.setitem(sys.modules, "wordfreq", listed)
    assert lexicon.ranks_of_wordfreq() == {"the": 0, "don't": 1, "cat": 2}, "only what is a word here has a rank"


def test_without_wordfreq_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(
        ConfigError, match=r"package wordfreq, which is not installed: pip install 'hybridlm\[wordfreq\]'"
    ):
        lexicon.ranks_of_wordfreq()


def test_no_word_is_in_two_closed_classes():
    listed = [word for words_of_class in CLASSES.values() for word in words_of_class.split()]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("the", "determiner"),
        ("it's", "pronoun"),
        ("don't", "auxiliary"),
        ("not", "particle"),
        ("dog's", ""),
        ("run", ""),
    ],
)
def test_short_forms_have_the_class_of_what_stands_before_the_apostrophe(word, name):
    assert class_of(word) == name
