"""How common a vocabulary id is: its rank by occurrences in the training split, ties by id."""

import numpy as np

from hybridlm.categories.family import Family
from hybridlm.categories.vocabulary import Vocabulary

LABELS = {
    "top_1k": "the 1,000 most frequent ids of the training split",
    "1k_10k": "ranks 1,001 to 10,000",
    "10k_50k": "ranks 10,001 to 50,000",
    "beyond_50k": "ranks above 50,000",
    "unseen": "never occurs in the training split",
}
_LAST_RANKS = (1_000, 10_000, 50_000)


def assign(vocabulary: Vocabulary) -> list[str]:
    """The band of every id."""
    counts_V = vocabulary.counts_V
    rank_V = np.empty_like(counts_V)
    rank_V[np.argsort(-counts_V, stable=True)] = np.arange(1, len(counts_V) + 1)
    band_V = np.where(counts_V > 0, np.searchsorted(_LAST_RANKS, rank_V), len(_LAST_RANKS) + 1)
    names = tuple(LABELS)
    return [names[band] for band in band_V]


FAMILY = Family(
    name="frequency_rank",
    question="How frequent is the token's id in the training split, by rank?",
    labels=LABELS,
    assign=assign,
)
