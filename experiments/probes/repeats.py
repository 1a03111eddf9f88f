"""Planted repeats: random words that come again word for word, where only the first reading can help.

A random span costs what random words cost; its repeat costs nothing to a model that remembers. The first words of
either are the cue by which a model may notice, and do not count.
"""

import random
from collections.abc import Iterator, Sequence

from experiments.probes.document import Document, marked
from experiments.probes.words import ALL

PROBE = "planted_repeats"
SPAN, CUE, BEFORE = 16, 4, 16
"""Words of a span, of its beginning that does not count, and before the first span."""


def documents(distances: Sequence[int], *, count: int, seed: int) -> Iterator[Document]:
    """So many spans, each at every distance, behind the same words and before the same: a group is a span."""
    for number in range(count):
        dice = random.Random(f"{PROBE} {seed} {number}")
        before, span = dice.choices(ALL, k=BEFORE), dice.choices(ALL, k=SPAN)
        between = dice.choices(ALL, k=max(distances))
        for distance in distances:
            yield _document(f"span-{number}", distance, before, span, between[len(between) - (distance - SPAN) :])


def _document(group: str, distance: int, before: list[str], span: list[str], between: list[str]) -> Document:
    cue, rest = " ".join(span[:CUE]), " ".join(span[CUE:])
    pieces = [f"{' '.join([*before, cue])} ", ("first", rest), f" {' '.join([*between, cue])} ", ("repeat", rest)]
    text, targets = marked(pieces)
    name = f"{PROBE}/{group}/{distance}"
    return Document(id=name, probe=PROBE, group=group, distance=distance, item=name, text=text, targets=targets)
