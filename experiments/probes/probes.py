"""The one list of probes, and all their documents."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from experiments.probes import closure, entity, filler, pairs, pronoun, repeats
from experiments.probes.document import Document
from experiments.probes.filler import Filler
from experiments.probes.pairs import Frame
from hybridlm.config.errors import one_of, require

DISTANCES = (64, 128, 256, 512, 1024, 2048)
NEAREST = 32
"""Fewer words do not hold the longest template and a sentence between."""
SPANS = 40
"""Planted spans; the templates of the other probes are as many as there are."""


class Pairs(NamedTuple):
    """Attributes: frames: the templates, filled in. filler: what stands inside them."""

    frames: Callable[[random.Random], Iterator[Frame]]
    filler: Filler


PAIRS = {
    "closure_code": Pairs(closure.code, filler.elements),
    "closure_markup": Pairs(closure.markup, filler.paragraphs),
    "closure_prose": Pairs(closure.prose, closure.mixed_phrases),
    "entity_recall": Pairs(entity.frames, filler.sentences),
    "pronoun_gender": Pairs(pronoun.gender, filler.sentences),
    "pronoun_number": Pairs(pronoun.number, filler.sentences),
}
PROBES = (repeats.PROBE, *PAIRS)


def documents(
    probes: Sequence[str] = PROBES, distances: Sequence[int] = DISTANCES, *, seed: int = 0
) -> Iterator[Document]:
    """All documents of the probes at these distances in words; the same for the same seed."""
    for probe in probes:
        one_of("--probes", probe, PROBES)
    require(
        len(distances) > 0 and min(distances) >= NEAREST,
        f"--distances={','.join(map(str, distances))} must be {NEAREST} words or more each: a template takes "
        "that much room.",
    )
    for probe in probes:
        if probe == repeats.PROBE:
            yield from repeats.documents(distances, count=SPANS, seed=seed)
        else:
            yield from _pairs(probe, distances, seed)


def _pairs(probe: str, distances: Sequence[int], seed: int) -> Iterator[Document]:
    for frame in PAIRS[probe].frames(random.Random(f"{probe} {seed}")):
        for distance in distances:
            dice = random.Random(f"{probe} {seed} {frame.group} {distance}")
            yield from pairs.documents(probe, frame, distance, PAIRS[probe].filler, dice)
