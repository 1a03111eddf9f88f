"""The numbers of a text by kind, read off the characters: lexers disagree (the SQL one reads 1.5 as 1 . 5)."""

import re

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.characters import code_points, table

KINDS = (
    "none",
    "integer",
    "decimal",
    "grouped",
    "scientific",
    "hexadecimal",
    "percent",
    "date_time",
    "version",
    "in_word",
)

_NUMBER = re.compile(
    r"""
      (?P<hexadecimal>0[xX][0-9a-fA-F_]+ | 0[bBoO][0-7_]+)
    | (?P<date_time>(?:
        \d{4}-\d\d?-\d\d?
      | \d\d?:\d\d(?::\d\d)?(?:\.\d+)?
      | \d\d?(?P<mark>[/.])\d\d?(?P=mark)\d{4} )(?!\d))
    | (?P<version>\d+(?:\.\d+){2,})
    | (?P<number>
        (?P<grouped>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?)
      | (?P<scientific>\d+(?:\.\d*)?[eE][+-]?\d+)
      | (?P<decimal>\d+\.\d+)
      | (?P<integer>\d+) ) (?P<percent>\s?%)?
    """,
    re.VERBOSE,
)
_FRACTIONS = [KINDS.index(kind) for kind in ("decimal", "grouped", "scientific", "percent")]


def kinds(text: str) -> Int8[np.ndarray, "S"]:
    """The kind of number each character stands in, as a number into `KINDS`; a percent sign is part of its number."""
    kind_S, end = np.zeros(len(text), np.int8), 0
    for begin in digit_runs(text)[0].tolist():
        if begin >= end:
            match = _NUMBER.match(text, begin)
            end, has_bare_point = match.end(), _has_bare_point(text, begin)
            kind = "decimal" if has_bare_point and match["integer"] else _kind(text, match)
            kind_S[begin - has_bare_point : end] = KINDS.index(kind)
    return kind_S


def digit_runs(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Begins and ends of all maximal runs of decimal digits, of any script."""
    is_digit_S = table(str.isdecimal)[code_points(text)]
    edges = np.flatnonzero(np.diff(is_digit_S, prepend=False, append=False))
    return edges[::2], edges[1::2]


def _has_bare_point(text: str, begin: int) -> bool:
    """Whether these digits follow a decimal point with nothing before it, as in p < .05."""
    before = text[max(0, begin - 2) : begin]
    return before == "." or (before[1:] == "." and not before[0].isalnum() and before[0] not in ".)]")


def _kind(text: str, match: re.Match) -> str:
    begin, end = match.span()
    if match["number"] and (text[begin - 1 : begin].isidentifier() or text[end : end + 1].isidentifier()):
        return "in_word"
    return next(kind for kind in ("percent", *KINDS[1:-1]) if match[kind])


def is_fraction(text: str, begins: np.ndarray, kind_S: Int8[np.ndarray, "S"]) -> np.ndarray:
    """Whether each run of digits stands after the decimal point of its number."""
    points = np.append(code_points(text), 0)
    after_point = (points[begins - 1] == ord(".")) & (begins > 0)
    return after_point & np.isin(kind_S[begins], _FRACTIONS) & (kind_S[begins - 1] == kind_S[begins])
