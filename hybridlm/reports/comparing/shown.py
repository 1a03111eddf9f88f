"""What a comparison was corrected over, and which of its families say more than the line of all tokens does."""

import dataclasses

from hybridlm.reports.blocks import words
from hybridlm.reports.comparison import Comparison
from hybridlm.reports.scores import ALL

NAMED = 6
"""Families that are named one by one; of more it is said how many."""


def tests(found: Comparison) -> str:
    """How many gaps intervals and p hold for at once, and of what: "6 gaps (all, kind and domain)"."""
    families = dict.fromkeys(row.family for row in found.rows)
    *first, last = map(words, families)
    if len(families) > NAMED:
        first, last = [words(ALL)], f"{len(families.keys() - {ALL})} families"
    names = f"{', '.join(first)} and {last}" if first else last
    models = f", each of {len(found.models)} models" if len(found.models) > 1 else ""
    return f"{len(found.rows)} gaps ({names}{models})"


def single(found: Comparison) -> list[str]:
    """Families of which one label alone has rows, so that it is the line of all."""
    seen = {(row.family, row.label) for row in found.rows if row.family != ALL}
    families = [family for family, _ in seen]
    return [family for family in found.families if families.count(family) == 1]


def without(found: Comparison, families: list[str]) -> Comparison:
    """The record without the rows of these families, for a page."""
    return dataclasses.replace(
        found,
        rows=tuple(row for row in found.rows if row.family not in families),
        families={name: facts for name, facts in found.families.items() if name not in families},
        metrics=tuple(record for record in found.metrics if record["family"] not in families),
        calibration=tuple(record for record in found.calibration if record["family"] not in families),
    )
