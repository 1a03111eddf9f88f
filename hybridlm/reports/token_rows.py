"""From the arrays of an evaluation's batches to rows of a token file.

    spelling = Spelling(tokenizer.token_bytes)
    for batch in evaluated:
        places = spelling.places(batch.document_T, batch.token_T)      # position, byte_start, byte_end
        rows = columns(places, batch.document_T, batch.group_T, values={"score/ar": (nats_T, is_scored_T)}, ...)

Tokens come flat, [T], in order within each document, which may be cut between batches anywhere.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from hybridlm.config.errors import ConfigError


class Spelling:
    """Where tokens lie in their documents, and what text they spell; ids without bytes, such as an end, have none."""

    def __init__(self, token_bytes: Sequence[bytes]):
        self._token_bytes = token_bytes
        self._lengths_V = np.array([len(piece) for piece in token_bytes], np.int64)
        self._tokens: dict[int, int] = {}
        self._bytes: dict[int, bytearray] = {}

    def places(self, document_T: Int[np.ndarray, "T"], token_T: Int[np.ndarray, "T"]) -> dict[str, np.ndarray]:
        """The columns `position`, `byte_start` and `byte_end` of the next tokens."""
        position_T, end_T = np.empty((2, len(token_T)), np.int64)
        length_T = self._lengths_V[token_T]
        edges = [0, *(np.flatnonzero(np.diff(document_T)) + 1).tolist(), len(token_T)]
        for begin, end in itertools.pairwise(edges):
            if begin < end:
                self._run(int(document_T[begin]), slice(begin, end), token_T, length_T, position_T, end_T)
        return {"position": position_T, "byte_start": end_T - length_T, "byte_end": end_T}

    def _run(self, document: int, run: slice, token_T, length_T, position_T, end_T) -> None:
        """Consecutive tokens of one document."""
        first, text = self._tokens.get(document, 0), self._bytes.setdefault(document, bytearray())
        position_T[run] = np.arange(first, first + run.stop - run.start)
        end_T[run] = len(text) + np.cumsum(length_T[run])
        text.extend(b"".join(map(self._token_bytes.__getitem__, token_T[run].tolist())))
        self._tokens[document] = first + run.stop - run.start

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        """Id -> text of every document seen so far; raises where it is no whole text."""
        return {names[number]: _decoded(names[number], bytes(text)) for number, text in self._bytes.items()}


def _decoded(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the tokens of document {name!r} spell no UTF-8 at byte {error.start}: some of them are missing, or it "
            "is cut inside a character; score whole documents."
        ) from error


def columns(
    places: Mapping[str, np.ndarray],
    document_T: Int[np.ndarray, "T"],
    group_T: Int[np.ndarray, "T"],
    *,
    documents: Callable[[int], str],
    groups: Callable[[int], str],
    values: Mapping[str, tuple[np.ndarray, Bool[np.ndarray, "T"]]],
    facts: Mapping[str, np.ndarray] | None = None,
    labels: Mapping[str, Int[np.ndarray, "T"]] | None = None,
) -> dict[str, np.ndarray | pa.Array]:
    """Columns for `TokenWriter.write`.

    Args:
      documents, groups: number -> name.
      values: such as "score/ar" -> numbers, and which of the tokens have one.
      facts: `token` and `frequency_rank`. labels: family -> index of each label in the header.
    """
    named = {"document": (document_T, documents), "group": (group_T, groups)}
    return {
        **{name: _named(*numbered) for name, numbered in named.items()},
        **places,
        **(facts or {}),
        **{name: np.ma.array(value_T, mask=~is_there_T) for name, (value_T, is_there_T) in values.items()},
        **{f"label/{family}": label_T for family, label_T in (labels or {}).items()},
    }


def _named(number_T: Int[np.ndarray, "T"], name: Callable[[int], str]) -> pa.DictionaryArray:
    """Numbers as names, of which only those that occur are written."""
    used, code_T = np.unique(number_T, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(code_T.astype(np.int32)), list(map(name, used.tolist())))
