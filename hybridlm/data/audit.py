"""What preparing found about text that a corpus holds more than once."""

import dataclasses

SHORTEST_LINE = 40
"""Characters without surrounding space of a line that is compared; shorter ones repeat by chance."""


@dataclasses.dataclass(frozen=True, slots=True)
class Duplicates:
    """How many documents repeat another's text.

    Attributes:
      held_out: how many of them are held-out copies of training text. sample, sample_of: one of them, and what it
        repeats.
    """

    documents: int = 0
    held_out: int = 0
    sample: str = ""
    sample_of: str = ""

    @property
    def line(self) -> str:
        """The finding in words."""
        if not self.documents:
            return "exact duplicates: none"
        return (
            f"exact duplicates: {self.documents:,} ({self.held_out:,} held-out copies of training text), for one "
            f"{self.sample!r} of {self.sample_of!r}"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Overlap:
    """Of the longer lines of a held-out split, how many stand in the training split; repeated lines count.

    Attributes:
      documents: held-out ones more than half of whose longer lines are among them. sample: the first of these.
    """

    lines: int
    seen: int
    share: float
    documents: int = 0
    sample: str = ""

    @property
    def line(self) -> str:
        """The finding in words."""
        return (
            f"{self.seen:,} of {self.lines:,} lines of {SHORTEST_LINE} characters or more ({self.share:.1%}) stand in "
            "training"
            + (f", and most of {self.documents:,} documents, for one {self.sample!r}" if self.documents else "")
        )
