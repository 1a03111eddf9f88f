"""Tokens that two files label differently: a label function was edited in between, or counted another training text."""

from collections.abc import Iterator

import numpy as np

from hybridlm.reports.comparing.aligned import Aligned, Source


def notes(text: Aligned) -> list[str]:
    """A note for each file that labels tokens otherwise than the baseline's; none across tokenizers."""
    if text.unit != "token":
        return []
    found = {source.name: ", ".join(_differing(text, source)) for source in text.sources[1:]}
    base = text.baseline.name
    return [
        f"{name} labels tokens otherwise than {base}: {families}. A label function was edited between the two, or "
        f"they counted different training texts; the labels of {base} are used. Score both again to have one code's."
        for name, families in found.items()
        if families
    ]


def _differing(text: Aligned, source: Source) -> Iterator[str]:
    for family in text.baseline.tokens.header.families:
        if family in source.tokens.header.families:
            ours_T, theirs_T = _codes(text, text.baseline, family), _codes(text, source, family)
            if differ := int((ours_T != theirs_T).sum()):
                yield f"{differ:,} of {len(ours_T):,} in {family}"


def _codes(text: Aligned, source: Source, family: str) -> np.ndarray:
    """The labels of the rows as the baseline's file numbers them; -1 where it has no such label."""
    known, own = ([*one.tokens.header.families[family].labels] for one in (text.baseline, source))
    number = np.array([known.index(label) if label in known else -1 for label in own])
    return number[source.tokens.labels[f"label/{family}"][text.rows[source.name]]]
