"""Pronoun resolution: one person or group is introduced, nobody else appears, and later a pronoun refers to them."""

import itertools
import random
from collections.abc import Iterator

from experiments.probes.pairs import Frame

SHE = ("aunt", "queen", "grandmother", "actress", "duchess", "bride", "princess", "mother", "waitress", "widow")
HE = ("uncle", "king", "grandfather", "monk", "duke", "groom", "prince", "father", "gentleman", "widower")
THEY = ("twins", "brothers", "sisters", "neighbours", "parents", "soldiers", "farmers", "students", "cousins", "guests")
PRONOUNS = {"she": SHE, "he": HE, "they": THEY}

SCENES = (
    ("opened the bakery before dawn", "When the first loaves were done,"),
    ("walked up to the old mill", "Once the rain had stopped,"),
    ("planted beans behind the house", "After three dry weeks,"),
    ("waited on the empty platform", "When the train came in at last,"),
    ("wrote a long letter by candlelight", "Before the candle went out,"),
    ("rowed across the quiet lake", "Halfway to the other shore,"),
    ("painted the kitchen yellow", "As soon as the paint was dry,"),
    ("climbed the tower for the view", "At the top of the stairs,"),
    ("repaired the roof in spring", "When the storm came,"),
    ("bought a map at the harbour", "On the way to the island,"),
    ("fell asleep in the garden", "When the bells rang,"),
    ("carried water from the well", "At the second gate,"),
    ("cooked soup for the whole street", "When the pot was empty,"),
    ("searched the attic for the key", "Under a broken chair,"),
    ("sold apples at the market", "By the end of the day,"),
    ("crossed the desert in winter", "On the ninth morning,"),
    ("learned to play the flute", "After a year of practice,"),
    ("missed the last ferry", "For the rest of the night,"),
    ("kept bees on the hill", "In the first warm week,"),
    ("read the newspaper aloud", "At the bottom of the page,"),
    ("rode into the valley", "Before the bridge,"),
    ("swept the courtyard", "Near the fountain,"),
    ("counted the coins twice", "In the end,"),
    ("stood at the edge of the cliff", "For a long moment,"),
    ("followed the river to the sea", "Where the water turned salt,"),
    ("packed a small brown bag", "At the door,"),
    ("lit a fire on the beach", "When the tide rose,"),
    ("missed the road in the fog", "At the next crossing,"),
    ("mended the nets all morning", "In the afternoon,"),
    ("spent the winter in the cabin", "When the snow was gone,"),
)
"""How it begins, and what leads to the pronoun; nothing in them tells who it is."""


def gender(dice: random.Random) -> Iterator[Frame]:
    """She and he; a template is a scene."""
    for scene in SCENES:
        yield from _either(dice, scene, "she", "he")


def number(dice: random.Random) -> Iterator[Frame]:
    """They, and one of she and he; a template is a scene."""
    for scene in SCENES:
        yield from _either(dice, scene, dice.choice(("she", "he")), "they")


def _either(dice: random.Random, scene: tuple[str, str], *pronouns: str) -> Iterator[Frame]:
    """The scene with each of two pronouns as the right one, so that a liking for one of them cancels."""
    begins, leads = scene
    for right, wrong in itertools.permutations(pronouns):
        yield Frame(
            group=begins,
            before="The ",
            antecedent=dice.choice(PRONOUNS[right]),
            after=f" {begins}. ",
            closing=f" {leads} ",
            right=right,
            wrong=wrong,
        )
