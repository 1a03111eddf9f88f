"""Brackets of a text matched by a stack over characters: tags of HTML and environments of TeX are brackets too.

Strings and comments are skipped. A closing bracket whose kind is open somewhere below closes that one, and those above
it stay unmatched (`<br>`, a forgotten parenthesis); one whose kind is not open at all is unmatched itself (`a)`, `:)`).
"""

import collections
import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from hybridlm.categories.characters import among, code_points
from hybridlm.categories.lexing import Lexed

_PAIRS = "()[]{}（）［］｛｝「」『』【】《》〈〉⟨⟩⟦⟧⌈⌉⌊⌋"
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][\w:.-]*)(?:[^<>\"']|\"[^\"]*\"|'[^']*')*(?<!/)>")
_ENVIRONMENT = re.compile(r"\\(?:begin|(?P<close>end))\s*\{(?P<name>[A-Za-z]+\*?)\}")
_SPELLED = {"HTML": _TAG, "XML": _TAG, "TeX": _ENVIRONMENT}
"""Language -> brackets that are words."""


class Brackets(NamedTuple):
    """The brackets in order; the axis K counts them.

    Attributes:
      begin_K, end_K: in characters. is_open_K: opens rather than closes. partner_K: its other half, -1 for none.
    """

    begin_K: Int[np.ndarray, "K"]
    end_K: Int[np.ndarray, "K"]
    is_open_K: Bool[np.ndarray, "K"]
    partner_K: Int[np.ndarray, "K"]


def find(text: str, lexed: Lexed) -> Brackets:
    """All brackets of a text."""
    is_quoted_S = lexed.is_literal_text_S
    found = _spelled(text, lexed.language, is_quoted_S)
    for begin, end, _, _ in found:
        is_quoted_S[begin:end] = True
    found += _single(text, is_quoted_S)
    begin, end, is_open, kind = zip(*sorted(found, key=lambda event: event[0])) if found else ((), (), (), ())
    ends = np.array(begin, np.int64), np.array(end, np.int64)
    return Brackets(*ends, np.array(is_open, bool), _partners(is_open, kind))


def _single(text: str, is_quoted_S: np.ndarray) -> list[tuple]:
    """(begin, end, whether it opens, kind) of brackets of one character."""
    places = np.flatnonzero(among(_PAIRS)[code_points(text)] & ~is_quoted_S).tolist()
    return [(n, n + 1, _PAIRS.index(text[n]) % 2 == 0, _PAIRS.index(text[n]) // 2) for n in places]


def _spelled(text: str, language: str, is_quoted_S: np.ndarray) -> list[tuple]:
    """The same of brackets that are words."""
    found = _SPELLED[language].finditer(text) if language in _SPELLED else ()
    return [(*m.span(), not m["close"], m["name"]) for m in found if not is_quoted_S[m.start()]]


def _partners(is_open_K, kind_K) -> np.ndarray:
    partner_K, stack, waiting = [-1] * len(kind_K), [], collections.Counter()
    for event, (is_open, kind) in enumerate(zip(is_open_K, kind_K)):
        if is_open:
            stack.append(event)
            waiting[kind] += 1
        elif waiting[kind]:
            while kind_K[opener := stack.pop()] != kind:
                waiting[kind_K[opener]] -= 1
            waiting[kind] -= 1
            partner_K[opener], partner_K[event] = event, opener
    return np.array(partner_K, np.int64)


def depths(brackets: Brackets, size: int) -> Int[np.ndarray, "S"]:
    """How many matched pairs each of `size` characters stands in; a bracket stands in its own pair."""
    is_matched_K = brackets.partner_K >= 0
    opened = brackets.begin_K[brackets.is_open_K & is_matched_K]
    closed = brackets.end_K[~brackets.is_open_K & is_matched_K]
    change_S = np.bincount(opened, minlength=size + 1) - np.bincount(closed, minlength=size + 1)
    return np.cumsum(change_S)[:size]
