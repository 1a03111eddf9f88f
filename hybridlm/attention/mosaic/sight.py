"""How a kernel tells the visible pairs of a block: what it is handed, and what it may ask."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jax import Array
from jax.experimental.pallas import Slice

from hybridlm.attention.mosaic.tiles import Tile


class Sight(NamedTuple):
    """Of a batch: facts of the kernel's rows and of its columns, or words of bits, one a pair."""

    rows: tuple = ()
    columns: tuple = ()
    words: Any = None


@runtime_checkable
class View(Protocol):
    """What one warpgroup's rows of a tile see."""

    def hide(self, values: Array, instead: float, marks: Sequence, part: Slice) -> Array:
        """Columns of a step, `part` of them, with something else where the query may not see the key."""
        ...


@runtime_checkable
class Pairs(Protocol):
    """A way to tell them; static, since the kernel is written with it.

    Marks are what comes to shared memory with each step that has something to hide, and with no other.
    """

    def row_arrays(self, length: int) -> list[tuple]:
        """What so many rows need in shared memory: shapes and dtypes."""
        ...

    def mark_arrays(self, columns: int) -> list[tuple]:
        """What the marks of a step of so many columns take there."""
        ...

    def marks(self, sight: Sight, tile: Tile, step: Any) -> tuple:
        """Where the marks of a step are."""
        ...

    def view(self, tile: Tile, warpgroup: Any, slots: Sequence) -> View:
        """The rows of a warpgroup; slots: what they need."""
        ...
