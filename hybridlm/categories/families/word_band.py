"""How common the whole word is that a token belongs to: a column of the prepared rows, since it needs running text."""

from hybridlm.categories.family import Family

LABELS = {
    "not_a_word": "outside words",
    "top_1k": "in one of the 1,000 most frequent words of the training split",
    "1k_10k": "in a word of rank 1,001 to 10,000",
    "10k_50k": "in a word of rank 10,001 to 50,000",
    "beyond_50k": "in a word of a rank above 50,000",
    "unseen": "in a word that never occurs in the training split",
}

FAMILY = Family(
    name="word_band",
    question="How frequent is the whole word in the training split, by rank?",
    labels=LABELS,
    column="word_band",
)
