"""How families read the bytes of a token: as text without the one leading space that marks the start of a word."""

import unicodedata

UNDECODED = "\N{REPLACEMENT CHARACTER}"
"""Stands for bytes that are part of a character; it is neither letter, digit, punctuation nor space."""


def text(token: bytes) -> str:
    """The token's characters, without one leading space."""
    return token.decode(errors="replace").removeprefix(" ")


def is_letter(character: str) -> bool:
    """A letter, or the combining mark of one."""
    return unicodedata.category(character)[0] in "LM"


def is_digit(character: str) -> bool:
    """A decimal digit of any script."""
    return unicodedata.category(character) == "Nd"


def is_punctuation(character: str) -> bool:
    """Punctuation in the sense of Unicode, brackets included; + = < > | $ ^ ~ and the backtick are symbols."""
    return unicodedata.category(character)[0] == "P"


def is_open(character: str) -> bool:
    """An opening bracket; low quotes, which Unicode also calls openings, have no mirror image."""
    return unicodedata.category(character) == "Ps" and unicodedata.mirrored(character) == 1


def is_close(character: str) -> bool:
    """A closing bracket."""
    return unicodedata.category(character) == "Pe" and unicodedata.mirrored(character) == 1
