"""One document as an engine scored it, and many of them as the columns of a token file."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybridlm.reports.engines.spans import Spans
from hybridlm.reports.token_file import VALUES


@dataclasses.dataclass(frozen=True)
class Scored:
    """Attributes:
    text: the whole document. spans: start and end of its tokens in UTF-8 bytes.
    values: by name, as in `token_file.VALUES` and `token_file.FACTS`: one per token, None where it was not scored.
    group: what it clusters with; itself if "".
    """

    text: str
    spans: Spans
    values: Mapping[str, Sequence[Any]]
    group: str = ""


def columns(documents: Mapping[str, Scored], reading: str = "ar") -> tuple[dict[str, list], dict[str, str]]:
    """The columns of all documents, by id, and their texts; tokens before the text, such as a begin, are left out."""
    found: dict[str, list] = {}
    for name, document in documents.items():
        start_T, end_T = document.spans
        first = int(np.argmax(np.append(end_T > start_T, True)))
        count = len(start_T) - first
        rows = {
            "document": [name] * count,
            "group": [document.group or name] * count,
            "position": list(range(count)),
            "byte_start": start_T[first:].tolist(),
            "byte_end": end_T[first:].tolist(),
        }
        for column, values in document.values.items():
            rows[f"{column}/{reading}" if column in VALUES else column] = list(values[first:])
        for column, values in rows.items():
            found.setdefault(column, []).extend(values)
    return found, {name: document.text for name, document in documents.items()}
