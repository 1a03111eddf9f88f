"""Entity recall: two people each do something to a thing of their own, and later it is asked who did it to one of them.

Both are asked for in turn, so that a liking for a name, or for the one who came first, cancels.
"""

import itertools
import random
from collections.abc import Iterator

from experiments.probes.pairs import Frame
from experiments.probes.words import COLOURS, NAMES, listed

DEEDS = tuple(
    itertools.batched(
        listed("""
            carried folder painted gate repaired clock borrowed bicycle opened parcel washed coat sold wagon bought vase
            broke plate found wallet lost umbrella built shelf moved piano cleaned lantern hid letter read notebook
            ordered carpet closed cabinet dropped basket lifted trunk wrapped present sewed curtain tuned guitar
            polished trumpet packed suitcase emptied bucket rented boat delivered crate copied map kept ticket
        """),
        2,
    )
)
"""Past tense, and a thing."""
PARTICIPLES = {"broke": "broken", "hid": "hidden", "sewed": "sewn"}
"""Where it is not the past tense."""


def frames(dice: random.Random) -> Iterator[Frame]:
    """A template is a deed and a thing, asked of either person; people and colours are drawn."""
    for past, thing in DEEDS:
        people, colours = dice.sample(NAMES, 2), dice.sample(COLOURS, 2)
        said = [f" {past} the {colour} {thing}. " for colour in colours]
        sentences = [f"{name}{deed}" for name, deed in zip(people, said)]
        for asked, other in ((0, 1), (1, 0)):
            yield Frame(
                group=f"{past} {thing}",
                before="".join(sentences[:asked]),
                antecedent=people[asked],
                after=said[asked] + "".join(sentences[asked + 1 :]),
                closing=f" The {colours[asked]} {thing} was {PARTICIPLES.get(past, past)} by ",
                right=people[asked],
                wrong=people[other],
            )
