"""Minimal pairs: the same text twice, but for its last word, which something far back makes right or wrong."""

import dataclasses
import random
from collections.abc import Iterator

from experiments.probes.document import Document, marked
from experiments.probes.filler import Filler


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """What stands around the filler: before, antecedent, after, FILLER, closing, and then what is right or wrong.

    Attributes: group: the template it is made from, with what is wrong here as what is right in another frame.
    """

    group: str
    before: str = ""
    antecedent: str
    after: str
    closing: str
    right: str
    wrong: str

    def words_between(self, distance: int) -> int:
        """How many words of filler put this distance between the antecedent and the last word."""
        fixed = f"{self.antecedent}{self.after} {self.closing}{self.right}"
        return distance + 1 - len(fixed.split())


def documents(probe: str, frame: Frame, distance: int, filler: Filler, dice: random.Random) -> Iterator[Document]:
    """The right document and the wrong one."""
    between = filler(dice, frame.words_between(distance))
    item = f"{probe}/{frame.group}/{distance}/{frame.right}"
    for role, last in (("right", frame.right), ("wrong", frame.wrong)):
        pieces = [frame.before, ("antecedent", frame.antecedent), frame.after, between, frame.closing, (role, last)]
        text, targets = marked(pieces)
        yield Document(
            id=f"{item}/{role}",
            probe=probe,
            group=frame.group,
            distance=distance,
            item=item,
            text=text,
            targets=targets,
        )
