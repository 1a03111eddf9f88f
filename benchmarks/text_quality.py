"""What generated texts are worth beside their speed: likelihood under another model, variety, and whether they parse.

Likelihood alone is won by repeating oneself, so it is never printed without entropy and distinct n-grams.
"""

import ast
import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np


def entropy(rows: Sequence[Sequence[int]]) -> float:
    """Mean entropy, in nats, of the tokens of a text."""

    def one(row):
        p = np.array(list(Counter(row).values())) / len(row)
        return -(p * np.log(p)).sum()

    return float(np.mean([one(row) for row in rows if len(row)]))


def distinct(rows: Sequence[Sequence[int]], n: int) -> float:
    """Share of different n-grams among all of a text (Li et al. 2016), mean over texts."""
    grams = [list(zip(*(row[shift:] for shift in range(n)), strict=False)) for row in rows]
    return float(np.mean([len(set(found)) / len(found) for found in grams if found]))


def _python(text: str) -> None:
    ast.parse(text)


def _json(text: str) -> None:
    json.JSONDecoder().raw_decode(text.lstrip())


def _yaml(text: str) -> None:
    import yaml

    yaml.safe_load(text)


def _sql(text: str) -> None:
    import sqlglot

    sqlglot.parse(text)


PARSERS: dict[str, tuple[str, Callable[[str], None]]] = {
    "python": ("ast", _python),
    "json": ("json", _json),
    "yaml": ("yaml", _yaml),
    "sql": ("sqlglot", _sql),
}
"""Language -> the module it needs, and what raises where a text is none."""


def available() -> dict[str, bool]:
    """Language -> whether there is a parser for it here."""
    return {language: bool(importlib.util.find_spec(module)) for language, (module, _) in PARSERS.items()}


def whole(text: str, language: str) -> str:
    """The text up to where its last statement must have ended, since a text is cut off after so many tokens."""
    if language == "python":
        lines = text.splitlines(keepends=True)
        begins = [number for number, line in enumerate(lines) if line.strip() and not line[0].isspace()]
        return "".join(lines[: begins[-1]]) if len(begins) > 1 else text
    ends = {"sql": ";", "yaml": "\n"}
    return text[: text.rfind(ends[language]) + 1] or text if language in ends else text


def is_valid(text: str, language: str) -> bool:
    """Whether a real parser takes the text, as far as it goes."""
    try:
        PARSERS[language][1](whole(text, language))
    except Exception:  # each parser has errors of its own, and any of them says no
        return False
    return True
