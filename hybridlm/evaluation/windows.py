"""Rows in which long documents overlap, so that every scored token sees enough of what came before it.

A window is BOS and the next T − 1 tokens of a document. The first scores all it holds; each later one begins as many
tokens before the first unscored one as are asked for as context, and scores the others. So every token is scored once.
A network that knows no BOS does not see it, and cannot be asked for the token behind it: that one is not scored.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.data.names import Names
from hybridlm.data.rows import Columns, Rows
from hybridlm.evaluation.readings import SCORED
from hybridlm.evaluation.unscored import CONTEXT_ALONE, NEVER_PREDICTED

SLOT = "slot"
"""Where a token stands among those of all rows as they were prepared; it stays on the host."""
READ_ROWS = 1024
"""Rows read at a time to find where documents stand."""


def rows_to_read(rows: Rows, config: EvaluationConfig, lacking: Collection[int] = (), bos: int = -1) -> Rows:
    """The rows as a config wants them read by a network that is `lacking` ids, perhaps that of BOS."""
    if not config.context and not lacking:
        return rows
    most = rows.row_length - 2
    require(
        config.context <= most,
        f"evaluation.context={config.context} leaves no room for tokens to score in rows of {rows.row_length}, "
        f"of which one is BOS; at most {most} can be context.",
    )
    return Windows(rows, config.context, lacking, has_bos=bos not in lacking)


def spans(length: int, room: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Of every window of one document: its first token, the first it scores, and the one after its last.

    A window has room for so many tokens beside BOS, more than are asked for as context.
    """
    done = 0
    while done < length:
        begin = max(done - context, 0)
        end = min(begin + room, length)
        yield begin, done, end
        done = end


class Windows(Rows):
    """Rows laid out anew, with the column `scored`: 1, or why not (`unscored`). Labels are of the whole document."""

    def __init__(self, rows: Rows, context: int, lacking: Collection[int] = (), *, has_bos: bool = True):
        """Short documents share a row; `context` is less than a row holds beside BOS. Ids in `lacking` are not scored,
        and without BOS neither is the first token of a window, unless an earlier one did it."""
        self._lacking = np.array(sorted(lacking), np.int64)
        self._rows, self.row_length, self.ranges, self.names = rows, rows.row_length, {}, (*rows.names, SCORED)
        places = [
            (found.bos, found.slots[begin:end], done - begin)
            for found in documents(rows)
            for begin, done, end in spans(len(found.slots), self.row_length - 1, context)
        ]
        corners = list(_packed([len(tokens) for _, tokens, _ in places], self.row_length))
        shape = (corners[-1][0] + 1, self.row_length)
        # which token of all rows stands where, and what is the window's own to say of it
        self.source_BT = np.full(shape, -1, np.int64)
        self._own = {name: np.zeros(shape, np.int32) for name in ("positions", "segment_ids", SCORED)}
        for (row, column, segment), (bos, tokens, context) in zip(corners, places, strict=True):
            here = (row, slice(column, column + 1 + len(tokens)))
            self.source_BT[here] = [bos, *tokens]
            self._own["positions"][here] = np.arange(1 + len(tokens))
            self._own["segment_ids"][here] = segment
            self._own[SCORED][here] = _scored(len(tokens), context, has_bos)

    def __len__(self) -> int:
        return len(self.source_BT)

    def called(self) -> Names:
        """Those of the rows as they were prepared."""
        return self._rows.called()

    def read(self, indices: Sequence[int] | Int[np.ndarray, "B"]) -> Columns:
        """The rows of these numbers in their order."""
        wanted = np.asarray(indices, np.int64)
        source_BT = self.source_BT[wanted]
        rows, number_BT = np.unique(source_BT // self.row_length, return_inverse=True)
        found = self._rows.read(np.maximum(rows, 0))
        place = (number_BT.reshape(source_BT.shape), source_BT % self.row_length)
        columns = {name: np.where(source_BT >= 0, found[name][place], 0) for name in self._rows.names}
        columns |= {name: values[wanted] for name, values in self._own.items()}
        is_lacking_BT = np.isin(columns["tokens"], self._lacking) & (columns[SCORED] > 0)
        return columns | {SCORED: np.where(is_lacking_BT, NEVER_PREDICTED, columns[SCORED])}


def _scored(size: int, context: int, has_bos: bool) -> Int[np.ndarray, "N"]:
    """The column `scored` of a window of BOS and so many tokens."""
    scored_N = np.where(np.arange(1 + size) > context, 1, CONTEXT_ALONE)
    if not has_bos and not context:
        scored_N[1] = NEVER_PREDICTED
    return scored_N


class Document(NamedTuple):
    """A document within rows. Attributes: number: in the column `document`. bos: the slot of its first BOS. slots, ids:
    of its tokens, in order. A slot counts the places of all rows, one after the other."""

    number: int
    bos: int
    slots: Int[np.ndarray, "N"]
    ids: Int[np.ndarray, "N"]


def documents(rows: Rows) -> Iterator[Document]:
    """The documents of rows in their order, each whole.

    One that the end of a row cut goes on at the beginning of the next, behind another BOS.
    """
    length, parts = rows.row_length, []
    for first in range(0, len(rows), READ_ROWS):
        found = rows.read(range(first, min(first + READ_ROWS, len(rows))))
        columns = ("positions", "segment_ids", "document", "tokens")
        position, segment, number, ids = (found[name].reshape(-1) for name in columns)
        starts = np.flatnonzero((segment > 0) & (position == 0))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(position)]):
            slots = np.arange(start, start + np.count_nonzero(segment[start:stop]))
            piece = Document(int(number[start]), first * length + start, first * length + slots[1:], ids[slots[1:]])
            if parts and not (start % length == 0 and parts[-1].number == piece.number):
                yield _whole(parts)
                parts = []
            parts.append(piece)
    yield _whole(parts)


def _whole(parts: Sequence[Document]) -> Document:
    slots, ids = (np.concatenate(column) for column in zip(*(part[2:] for part in parts)))
    return Document(parts[0].number, parts[0].bos, slots, ids)


def slots(rows: Rows, indices: Int[np.ndarray, "B"]) -> Int[np.ndarray, "B T"]:
    """The slot of every token of these rows; -1 for padding of windows."""
    if isinstance(rows, Windows):
        return rows.source_BT[indices]
    return indices[:, None] * rows.row_length + np.arange(rows.row_length)


def _packed(sizes: Sequence[int], row_length: int) -> Iterator[tuple[int, int, int]]:
    """Row, column and number within the row of windows of so many tokens beside BOS, each put whole where it fits."""
    row, column, segment = 0, 0, 0
    for size in sizes:
        if column + 1 + size > row_length:
            row, column, segment = row + 1, 0, 0
        segment += 1
        yield row, column, segment
        column += 1 + size
