"""How common the whole word is that a token belongs to: a label that, unlike token frequency, no tokenizer changes."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import words
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_a_word": "outside words",
    "top_1k": "in one of the 1,000 most frequent words of the training split",
    "1k_10k": "in a word of rank 1,001 to 10,000",
    "10k_50k": "in a word of rank 10,001 to 50,000",
    "beyond_50k": "in a word of a rank above 50,000",
    "unseen": "in a word that never occurs in the training split",
}
_UPPER_RANKS = (1_000, 10_000, 50_000)


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character; ranks come from training counts, or from wordfreq where there are none."""
    ranks = document.lexicon.ranks
    rank_J = np.array([ranks.get(word, -1) for word in document.words.distinct], np.int64)
    band_J = np.where(rank_J < 0, len(LABELS) - 1, 1 + np.searchsorted(_UPPER_RANKS, rank_J, side="right"))
    return words.paint(document.words, band_J, len(document.text))


FAMILY = by_position(
    name="word_band",
    question="How frequent is the whole word in the training split, by rank?",
    labels=LABELS,
    rule="first",
    needs="ranks",
    compile=compile,
)
