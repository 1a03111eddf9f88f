"""Documents -> rows of exactly T tokens: filled greedily, and a document cut by the end of a row goes on in the next.

Every piece of a document opens with BOS, the end of a document is marked by EOS, and what is left of a row is padding.
In this file the axis P counts pieces.
"""

import array
import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

SMALLEST_PIECE = 3
"""BOS, one token of text, and EOS: less room than that at the end of a row is padding."""


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Where every piece of every document goes; rows ascend, and pieces stand in the order of their row.

    Attributes:
      row_P, column_P: place of the piece's BOS. document_P: its document, counted in the order given.
      offset_P, length_P: its tokens within the document. is_last_P: whether EOS follows it.
    """

    row_P: Int[np.ndarray, "P"]
    column_P: Int[np.ndarray, "P"]
    document_P: Int[np.ndarray, "P"]
    offset_P: Int[np.ndarray, "P"]
    length_P: Int[np.ndarray, "P"]
    is_last_P: Int[np.ndarray, "P"]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.row_P[-1]) + 1 if len(self.row_P) else 0

    def between(self, first: int, stop: int) -> "Pieces":
        """The pieces of rows first to stop - 1, with rows counted from 0 again."""
        part = slice(*np.searchsorted(self.row_P, (first, stop)))
        cut = {field.name: getattr(self, field.name)[part] for field in dataclasses.fields(self)}
        return Pieces(**cut | {"row_P": cut["row_P"] - first})


def plan(lengths: Int[np.ndarray, "N"], row_length: int) -> Pieces:
    """Packs documents of these many tokens (each at least 1) in their order."""
    pieces = array.array("q")
    row, column = 0, 0
    for document, length in enumerate(lengths.tolist()):
        offset = 0
        while offset < length:
            if row_length - column < SMALLEST_PIECE:
                row, column = row + 1, 0
            taken, is_last = _taken(length - offset, row_length - column)
            pieces.extend((row, column, document, offset, taken, is_last))
            offset += taken
            column += 1 + taken + is_last
    return Pieces(*np.frombuffer(pieces, np.int64).reshape(-1, 6).T)


def _taken(left: int, room: int) -> tuple[int, int]:
    """How many of the tokens left go into the room beside BOS, and whether EOS follows."""
    if left + 2 <= room:
        return left, 1
    # EOS never stands alone after a BOS: the last token waits for it.
    return min(left - 1, room - 1), 0


def fill(
    pieces: Pieces,
    row_length: int,
    per_token: Mapping[str, np.ndarray],
    per_document: Mapping[str, np.ndarray],
    begins_N: Int[np.ndarray, "N"],
    *,
    pad: int,
    bos: int,
    eos: int,
) -> dict[str, Int[np.ndarray, "B T"]]:
    """The columns of rows 0 to `pieces.rows` - 1, named as in `per_token`, `per_document`, and three of packing's own.

    `per_token` holds `tokens` and any further column, flat over all documents, of which number n begins at
    `begins_N[n]`. Specials have 0 in these further columns, and padding has 0 in all but `tokens`.
    """
    size_P = 1 + pieces.length_P + pieces.is_last_P
    piece, position = np.repeat(np.arange(len(size_P)), size_P), _counted(size_P)
    slot = (pieces.row_P * row_length + pieces.column_P)[piece] + position
    is_text = (position > 0) & (position <= pieces.length_P[piece])
    source = ((begins_N[pieces.document_P] + pieces.offset_P)[piece] + position - 1)[is_text]

    def rows(values: np.ndarray, padding: int = 0) -> Int[np.ndarray, "B T"]:
        flat = np.full(pieces.rows * row_length, padding, np.int32)
        flat[slot] = values
        return flat.reshape(pieces.rows, row_length)

    def text(column: np.ndarray, around: np.ndarray | int = 0) -> np.ndarray:
        values = np.zeros(len(slot), np.int32) + around
        values[is_text] = column[source]
        return values

    return {
        "tokens": rows(text(per_token["tokens"], np.where(position == 0, bos, eos)), pad),
        "segment_ids": rows((1 + np.arange(len(size_P)) - np.searchsorted(pieces.row_P, pieces.row_P))[piece]),
        "positions": rows(position),
        **{name: rows(text(column)) for name, column in per_token.items() if name != "tokens"},
        **{name: rows(values[pieces.document_P[piece]]) for name, values in per_document.items()},
    }


def _counted(sizes: np.ndarray) -> np.ndarray:
    """0, 1, ..., size - 1 for every size, joined."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
