"""Rows to be drawn: those with the most documents, and who sees whom in them when they are read from left to right."""

import numpy as np
from jaxtyping import Int

from hybridlm import masks
from hybridlm.data.prepared import Prepared
from hybridlm.data.rows import Columns
from hybridlm.facts.tokens import from_columns
from hybridlm.reports.inspection import PackedRow

DRAWN_ROWS, DRAWN_TOKENS = 4, 128
"""Rows drawn, and the most tokens drawn of each."""

CHOSEN_FROM = 256
"""Rows among which those to draw are chosen."""


def packed_rows(prepared: Prepared) -> tuple[PackedRow, ...]:
    """The rows to draw, the fullest of documents first."""
    columns = example_rows(prepared)
    return tuple(_packed_row(columns, int(n)) for n in busiest(columns, DRAWN_ROWS, columns["tokens"].shape[1]))


def example_rows(prepared: Prepared) -> Columns:
    """The first rows of the training split, or of the first there is."""
    splits = prepared.manifest.splits
    rows = prepared.rows("train" if "train" in splits else next(iter(splits)))
    return rows.read(range(min(CHOSEN_FROM, len(rows))))


def busiest(columns: Columns, rows: int, width: int) -> Int[np.ndarray, "N"]:
    """Numbers of the rows with the most documents among their first `width` tokens."""
    documents_B = columns["segment_ids"][:, :width].max(axis=1)
    return np.argsort(-documents_B, stable=True)[:rows]


def _packed_row(columns: Columns, number: int) -> PackedRow:
    stride = -(-columns["tokens"].shape[1] // DRAWN_TOKENS)
    segment_T, position_T = (columns[name][number] for name in ("segment_ids", "positions"))
    facts = from_columns(segment_T[None, ::stride], position_T[None, ::stride])
    is_visible_TT = np.asarray(masks.materialize(masks.unified(), facts)[0])
    documents = int(segment_T.max())
    title = f"row {number}: {documents} document{'s' if documents > 1 else ''}"
    return PackedRow(title, segment_T[::stride], is_visible_TT, stride)
