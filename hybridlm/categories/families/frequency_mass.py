"""Quarters of the training text by token frequency: each holds about a fourth of all training tokens.

Bands by rank leave the rare ones empty when the vocabulary is small; bands by mass are filled for every vocabulary.
"""

import numpy as np

from hybridlm.categories.family import Family
from hybridlm.categories.vocabulary import Vocabulary

LABELS = {
    "most_frequent_quarter": "the most frequent ids, a fourth of the training tokens together",
    "second_quarter": "the next most frequent ids, another fourth",
    "third_quarter": "the next most frequent ids, another fourth",
    "rarest_quarter": "the rarest ids, the last fourth, with those never seen",
}


def assign(vocabulary: Vocabulary) -> list[str]:
    """The quarter in which the middle occurrence of every id falls, ids ordered by count and ties by id."""
    counts_V = vocabulary.counts_V
    order_V = np.argsort(-counts_V, stable=True)
    sorted_V = counts_V[order_V]
    twice_middle_V = 2 * np.cumsum(sorted_V) - sorted_V
    quarter_V = np.empty_like(counts_V)
    quarter_V[order_V] = np.minimum(2 * twice_middle_V // max(sorted_V.sum(), 1), 3)
    quarter_V[counts_V == 0] = 3
    names = tuple(LABELS)
    return [names[quarter] for quarter in quarter_V]


FAMILY = Family(
    name="frequency_mass",
    question="Which fourth of the training text, ordered by frequency, does the token's id belong to?",
    labels=LABELS,
    assign=assign,
)
