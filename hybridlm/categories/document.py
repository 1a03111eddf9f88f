"""One document as families see it: its text, its tokens, and readings of both, each made once when first asked for."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Int, Int8, UInt8, UInt32

from hybridlm.categories import alignment, brackets, characters, copies, lexing, numbers, words
from hybridlm.categories.brackets import Brackets
from hybridlm.categories.copies import Copies
from hybridlm.categories.lexicon import EMPTY, Lexicon
from hybridlm.categories.lexing import Lexed
from hybridlm.categories.words import Words


@dataclasses.dataclass(frozen=True, eq=False)
class Document:
    """Raises ConfigError where `ends_N` cannot be the byte ends of these tokens in this text.

    Attributes:
      text: the whole document; cut rows and windows from its labels, never labels from a row.
      ids_N: its tokens. ends_N: where each ends, in UTF-8 bytes.
      language: name of its domain or language. lexicon: what the training split says of words.
    """

    text: str
    ids_N: Int[np.ndarray, "N"]
    ends_N: Int[np.ndarray, "N"]
    language: str = ""
    lexicon: Lexicon = EMPTY

    def __post_init__(self):
        alignment.check_ends(self.ends_N, len(self.ids_N), len(self.bytes_S))

    @functools.cached_property
    def bytes_S(self) -> UInt8[np.ndarray, "S"]:
        """The text in UTF-8."""
        return np.frombuffer(alignment.utf8(self.text), np.uint8)

    @functools.cached_property
    def points(self) -> UInt32[np.ndarray, "P"]:
        """The code point of every character."""
        return characters.code_points(self.text)

    @functools.cached_property
    def widths(self) -> Int[np.ndarray, "P"]:
        """Bytes of every character."""
        return 1 + sum((self.points >= limit).astype(np.int64) for limit in (0x80, 0x800, 0x10000))

    def per_byte(self, labels: Int8[np.ndarray, "P"]) -> Int8[np.ndarray, "S"]:
        """Labels of characters as labels of bytes."""
        return labels if len(labels) == len(self.bytes_S) else np.repeat(labels, self.widths)

    def token_of(self, characters: Int[np.ndarray, "K"]) -> Int[np.ndarray, "K"]:
        """The token in which each of these characters begins."""
        return np.searchsorted(self.ends_N, self.byte_of(characters), side="right")

    def byte_of(self, characters: Int[np.ndarray, "K"]) -> Int[np.ndarray, "K"]:
        """The first byte of each of these characters; the number of characters stands for the end of the text."""
        return np.append(0, np.cumsum(self.widths))[characters]

    @functools.cached_property
    def words(self) -> Words:
        """Its words."""
        return words.find(self.text)

    @functools.cached_property
    def lexed(self) -> Lexed:
        """Its characters as a lexer reads them."""
        return lexing.lex(self.text, self.language)

    @functools.cached_property
    def brackets(self) -> Brackets:
        """Its brackets, matched."""
        return brackets.find(self.text, self.lexed)

    @functools.cached_property
    def number_kinds(self) -> Int8[np.ndarray, "P"]:
        """The kind of number every character stands in."""
        return numbers.kinds(self.text)

    @functools.cached_property
    def copies(self) -> Copies:
        """What of it was there before."""
        return copies.find(self.ids_N)
