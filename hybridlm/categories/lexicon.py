"""What a corpus says of its words, counted once on the training split: how frequent each is, and of which domain.

    counts = {domain: lexicon.count(texts) for domain, texts in training.items()}
    known = Lexicon(ranks=lexicon.rank(counts), terms=lexicon.domain_terms(counts))

A term of a domain is a word whose log-odds against all other domains, smoothed by the counts of the whole corpus, lie
many standard errors above zero (Monroe, Colaresi and Quinn 2008, "Fightin' Words").
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Set

import numpy as np

from hybridlm.categories import words
from hybridlm.categories.bigrams import Bigrams
from hybridlm.config.errors import ConfigError

WordRanks = Mapping[str, int]
"""Word -> its rank from 0 by frequency."""
WordCounts = Mapping[str, Mapping[str, int]]
"""Domain -> word -> occurrences."""

STANDARD_ERRORS = 3.0
PRIOR = 0.1
"""How much the counts of the whole corpus weigh as a prior, beside those of a domain."""
COMMON = 1000
"""The most frequent words of the corpus, which are never terms: in no domain do they mean anything special."""


@dataclasses.dataclass(frozen=True)
class Lexicon:
    """Attributes: ranks of words by frequency. terms of every domain. bigrams of ids. None is what was not counted."""

    ranks: WordRanks | None = None
    terms: Mapping[str, Set[str]] | None = None
    bigrams: Bigrams | None = None


EMPTY = Lexicon()


def count(texts: Iterable[str]) -> collections.Counter:
    """Occurrences of every word."""
    counts = collections.Counter()
    for text in texts:
        found = words.find(text)
        counts.update(dict(zip(found.distinct, np.bincount(found.number_J).tolist())))
    return counts


def rank(counts: WordCounts) -> WordRanks:
    """Ranks of all words over all domains, the alphabet deciding between equals."""
    total = _total(counts)
    ordered = sorted(total, key=lambda word: (-total[word], word))
    return {word: place for place, word in enumerate(ordered)}


def ranks_of_wordfreq(language: str = "en") -> WordRanks:
    """Ranks from the lists of the package wordfreq, for text without a training split; needs that package."""
    try:
        import wordfreq
    except ImportError as error:
        raise ConfigError(
            "word ranks without counts of one's own come from the package wordfreq, which is not installed: "
            "pip install 'hybridlm[wordfreq]', or count a training text with lexicon.count and lexicon.rank."
        ) from error
    listed = wordfreq.top_n_list(language, 1_000_000)
    return {word: place for place, word in enumerate(word for word in listed if word.replace("'", "").isalpha())}


def domain_terms(counts: WordCounts, standard_errors: float = STANDARD_ERRORS, common: int = COMMON) -> dict:
    """Domain -> its terms: words so many standard errors more frequent there than elsewhere, common words left out."""
    total = _total(counts)
    vocabulary = [word for word, _ in total.most_common()]
    total_J = np.array([total[word] for word in vocabulary], float)
    terms = {}
    for domain, here in counts.items():
        here_J = np.array([here.get(word, 0) for word in vocabulary], float)
        z_J = log_odds(here_J, total_J - here_J, PRIOR * total_J)
        z_J[:common] = 0
        terms[domain] = frozenset(vocabulary[n] for n in np.flatnonzero(z_J > standard_errors))
    return terms


def log_odds(here_J: np.ndarray, there_J: np.ndarray, prior_J: np.ndarray) -> np.ndarray:
    """Standard errors by which each word is more frequent here than there; the prior weighs like as many words more."""

    def log_odds_and_variance(count_J):
        smoothed_J = count_J + prior_J
        return np.log(smoothed_J) - np.log(smoothed_J.sum() - smoothed_J), 1 / smoothed_J

    (here, error_here), (there, error_there) = log_odds_and_variance(here_J), log_odds_and_variance(there_J)
    return (here - there) / np.sqrt(error_here + error_there)


def _total(counts: WordCounts) -> collections.Counter:
    total = collections.Counter()
    for of_domain in counts.values():
        total.update(of_domain)
    return total
