"""Parts of speech by a tagger of one's own, as none comes with the package: content and function words need none.

register(part_of_speech.family(lambda words: [token.pos_ for token in nlp(Doc(nlp.vocab, words))]))
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import spans
from hybridlm.categories.document import Document
from hybridlm.categories.family import Family, by_position

LABELS = {
    "not_a_word": "outside words",
    "ADJ": "adjective",
    "ADP": "preposition or postposition",
    "ADV": "adverb",
    "AUX": "auxiliary",
    "CCONJ": "coordinating conjunction",
    "DET": "determiner",
    "INTJ": "interjection",
    "NOUN": "noun",
    "NUM": "numeral",
    "PART": "particle",
    "PRON": "pronoun",
    "PROPN": "proper noun",
    "PUNCT": "punctuation",
    "SCONJ": "subordinating conjunction",
    "SYM": "symbol",
    "VERB": "verb",
    "X": "anything else, and every tag that is none of these",
}
"""The tags of Universal Dependencies."""


def family(tag: Callable[[list[str]], Sequence[str]]) -> Family:
    """The family of a tagger that gives the words of a document, in order and as written, one tag each."""
    index = {name: number for number, name in enumerate(LABELS)}

    def compile(document: Document) -> Int8[np.ndarray, "P"]:
        begins_J, ends_J, _, _ = document.words
        tags = tag([document.text[begin:end] for begin, end in zip(begins_J.tolist(), ends_J.tolist())])
        labels_J = np.array([index.get(name, index["X"]) for name in tags], np.int8)
        return spans.paint(len(document.text), begins_J, ends_J, labels_J)

    return by_position(
        name="part_of_speech",
        question="Which part of speech is the token's word?",
        labels=LABELS,
        rule="first",
        compile=compile,
    )
