"""A table of token scores as what the curves are read from."""

import numpy as np
from etils import epath

from experiments.probes.curves import Scores
from hybridlm.reports import token_reader


def scores(path: epath.PathLike, reading: str = "") -> dict[str, Scores]:
    """Document -> its tokens under one reading, the first of the table by default."""
    reading = reading or next(iter(token_reader.read_header(path).readings))
    table = token_reader.read(path, readings=[reading], families=[])
    ends = np.searchsorted(table.document_T, np.arange(len(table.documents) + 1))
    columns = (table.byte_start_T, table.byte_end_T, table.columns[f"score/{reading}"])
    return {
        name: Scores(*(column[begin:end] for column in columns))
        for name, begin, end in zip(table.documents, ends[:-1].tolist(), ends[1:].tolist())
    }
