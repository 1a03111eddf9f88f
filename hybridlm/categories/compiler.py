"""Labels per position: one document in, one small integer per token and family out, and windows cut from them.

    ends_N = alignment.byte_ends(text, ids_N, tokenizer.token_bytes)           # refuses what does not spell the text
    labels = compile_document(families, text, ids_N, ends_N, "code_python")    # {"code": int8 [N], "copy": ..., ...}
    LabelSet(families, labels).window(0, 1024).select("content & ~copy1")      # bool [1024]

Compile whole documents and cut afterwards: a string, a bracket or a copy that began before the cut keeps its label.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from hybridlm.categories import alignment
from hybridlm.categories.compiled import compiled
from hybridlm.categories.document import Document
from hybridlm.categories.family import PER_TOKEN, Family
from hybridlm.categories.filters import Filter, parse
from hybridlm.categories.lexicon import EMPTY, Lexicon


@dataclasses.dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels of consecutive tokens. Attributes: families that made them. columns: family -> index of each label."""

    families: tuple[Family, ...]
    columns: Mapping[str, Int8[np.ndarray, "N"]]

    def window(self, begin: int, end: int) -> "LabelSet":
        """The same labels of the tokens from `begin` to `end` - 1."""
        return LabelSet(self.families, {name: column[begin:end] for name, column in self.columns.items()})

    def names(self, family: str) -> list[str]:
        """The label of every token in words."""
        labels = next(tuple(known.labels) for known in self.families if known.name == family)
        return [labels[index] for index in self.columns[family].tolist()]

    def select(self, wanted: Filter | str) -> Bool[np.ndarray, "N"]:
        """Which tokens a filter lets through."""
        wanted = parse(wanted, self.families) if isinstance(wanted, str) else wanted
        return wanted.select(self.columns, self.families)


def compile_document(
    families: Sequence[Family],
    text: str,
    ids_N: Int[np.ndarray, "N"],
    ends_N: Int[np.ndarray, "N"],
    language: str = "",
    lexicon: Lexicon = EMPTY,
) -> dict[str, Int8[np.ndarray, "N"]]:
    """Family -> the index of the label of every token. Families without `compile` have no part in it.

    Raises ConfigError where the tokens and the text do not fit each other, the lexicon lacks what a family needs, or a
    family gives a label that it does not declare.
    """
    document = Document(text, ids_N, ends_N, language, lexicon)
    found = {}
    for family in families:
        if family.compile:
            labels = compiled(family, document)
            if family.rule != PER_TOKEN:
                labels = alignment.to_tokens(family.rule, document.per_byte(labels), ends_N, document.bytes_S)
            found[family.name] = labels
    return found


def compile_shares(families: Sequence[Family], document: Document) -> dict[str, Float[np.ndarray, "N L"]]:
    """Family -> each token's share of bytes per label, for families that label text: what two tokenizers agree on."""
    labelled = [family for family in families if family.compile and family.rule != PER_TOKEN]
    return {
        family.name: alignment.split(document.per_byte(compiled(family, document)), document.ends_N, len(family.labels))
        for family in labelled
    }
