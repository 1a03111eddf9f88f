"""The words that probes are made of: plain, common, and none of them a person, so that filler answers no question."""


def listed(words: str) -> tuple[str, ...]:
    """Words that stand in one text."""
    return tuple(words.split())


THINGS = listed("""
    anchor apron barrel basket bell bench blanket bottle bowl box bridge broom brush bucket button cabin candle
    carpet cart chain chair clock coat compass cup curtain desk drawer drum engine fence flag flute gate glove hammer
    harp hat hook jar kettle key kite ladder lamp lantern lock map mirror nail needle oar oven paddle pillow pipe plank
    plough pump ribbon rope saddle sail saw shelf shovel spoon stool stove table tent torch towel tray trumpet vase
    wagon wheel whistle window
""")

PLACES = listed("""
    alley attic bakery barn bay beach canal castle cellar chapel cliff corner courtyard creek desert dock field
    forest fountain garden glacier harbour hill island kitchen lake library market meadow mill mine orchard pasture
    path pond quarry reef river road roof shore square stable station stream swamp tower tunnel valley village wall
    well wharf workshop yard
""")

ADJECTIVES = listed("""
    amber ancient bent blue bright broad broken brown clean cold cracked dark deep dry dusty empty faded flat gold
    green grey heavy hollow huge iron little long low narrow new old open pale plain purple quiet red rough round rusty
    sharp silver small soft square steep stone tall thick thin tiny warm wet white wide wooden yellow
""")

COLOURS = ("red", "green", "blue", "yellow", "purple", "grey", "brown", "white")

VERBS = listed("creaked gleamed hung lay leaned rattled rested rusted shone stood swayed waited")

PREPOSITIONS = ("above", "behind", "beside", "beyond", "near", "opposite", "under")

NAMES = listed("""
    Adam Alice Carol Clara David Edgar Ellen Felix Frank Grace Harry Helen Irene James Julia Karen Laura Louis Maria
    Oscar Paula Peter Robin Simon
""")

ALL = tuple(sorted({*THINGS, *PLACES, *ADJECTIVES, *VERBS, *PREPOSITIONS}))
"""What random spans are drawn from."""
