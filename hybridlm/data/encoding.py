"""A corpus as tokens and labels: every text encoded, checked byte for byte, and labelled, in chunks.

A chunk is a file made of documents that follow each other. Which process makes it changes nothing in it, so several
processes or machines can share the work, and what a killed one has finished is not done again.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Int

from hybridlm.categories import registry
from hybridlm.categories.compiler import compile_document
from hybridlm.categories.family import Family
from hybridlm.config.errors import nearest, require
from hybridlm.data import documents, token_store
from hybridlm.data.corpus import Corpus
from hybridlm.data.directories import once
from hybridlm.data.documents import Account, Document, Dropped, Entry
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import Vocabulary

CHUNK_BYTES = 1 << 22
"""Text encoded at once, and kept in one file, for every family of labels less of it: labels cost more than ids."""

NOT_EXACT = "not given back exactly by the tokenizer"
MOST_FAILURES = 0.05
"""Share of documents that may be dropped for it before preparation stops."""


class Encoded(NamedTuple):
    """Columns per token, flat over all documents; for each document its entry, first token and number of tokens."""

    per_token: dict[str, np.ndarray]
    entries: tuple[Entry, ...]
    begins_N: np.ndarray
    lengths_N: np.ndarray
    account: Account


@dataclasses.dataclass(frozen=True)
class Side:
    """Documents that are labelled alike: `name` is also the folder of their chunks, `families` their labels."""

    name: str
    entries: tuple[Entry, ...]
    families: tuple[Family, ...]


def sides(corpus: Corpus, vocabulary: Vocabulary, labels: Sequence[str]) -> tuple[Side, ...]:
    """Training documents, which get the labels named, and held-out ones, which get all there are.

    Raises ConfigError for a name that no family of positions has.
    """
    known = {family.name: family for family in registry.compilable(vocabulary.lexicon)}
    for name in labels:
        require(name in known, f"data.labels names {name!r}, which is no family of positions{nearest(name, known)}")
    held_out = tuple(entry for entry in corpus.entries if entry.split != "train")
    train = Side("train", tuple(corpus.within("train")), tuple(known[name] for name in labels))
    return tuple(side for side in (train, Side("held_out", held_out, tuple(known.values()))) if side.entries)


class Chunks:
    """The chunks of one side of a corpus, each a file below `directory` once it is made."""

    def __init__(self, corpus: Corpus, side: Side, directory: epath.Path):
        self.side = side
        self._corpus = corpus
        ends = np.cumsum([entry.bytes for entry in side.entries])
        self._number_N = (ends - 1) // (CHUNK_BYTES // (1 + len(side.families) // 2))
        self.numbers = np.unique(self._number_N).tolist()
        self._directory = directory / side.name
        self._directory.mkdir(parents=True, exist_ok=True)

    def missing(self, part: int = 0, parts: int = 1) -> list[int]:
        """The chunks not made yet, of those that are this part's to make."""
        return [number for number in self.numbers[part::parts] if not self._path(number).exists()]

    def entries(self, number: int) -> tuple[Entry, ...]:
        """The documents of a chunk."""
        begin, stop = np.searchsorted(self._number_N, (number, number + 1))
        return self.side.entries[begin:stop]

    def bytes(self, numbers: Sequence[int]) -> int:
        """UTF-8 length of the text of these chunks."""
        return sum(entry.bytes for number in numbers for entry in self.entries(number))

    def make(self, numbers: Sequence[int], vocabulary: Vocabulary, advance: Callable[[int], None]) -> None:
        """Encodes these chunks."""
        wanted = [entry for number in numbers for entry in self.entries(number)]
        found = self._corpus.documents(wanted)
        for number in numbers:
            chunk = [next(found) for _ in self.entries(number)]
            columns = encode(chunk, vocabulary, self.side.families)
            once(self._path(number), functools.partial(token_store.save, columns))
            advance(self.bytes([number]))

    def load(self, number: int) -> dict[str, np.ndarray]:
        """The columns of a chunk, and `lengths`, the tokens of each document, negative if it is left out."""
        return token_store.load(self._path(number))

    def _path(self, number: int) -> epath.Path:
        return self._directory / f"{number:06d}.npz"


def encode(
    chunk: Sequence[tuple[Entry, Document]], vocabulary: Vocabulary, families: Sequence[Family]
) -> dict[str, np.ndarray]:
    """The columns of documents one after the other, without those that the tokenizer does not give back exactly."""
    tokenizer, lexicon = vocabulary.tokenizer, vocabulary.lexicon
    documents = [document for _, document in chunk]
    columns, lengths = [], []
    for (entry, document), ids in zip(chunk, _ids(documents, tokenizer), strict=True):
        is_exact = tokenizer.to_bytes(ids.tolist()) == document.text.encode()
        lengths.append(len(ids) if is_exact else -len(ids))
        if is_exact:
            ends = np.cumsum(tokenizer.byte_lengths[ids])
            labels = compile_document(families, document.text, ids, ends, entry.domain, lexicon)
            columns.append({"tokens": ids} | labels)
    dtypes = {"tokens": np.min_scalar_type(tokenizer.vocab_size - 1)} | {f.name: np.dtype(np.int8) for f in families}
    joined = {
        name: np.concatenate([np.empty(0, dtype), *(part[name] for part in columns)]).astype(dtype)
        for name, dtype in dtypes.items()
    }
    return joined | {"lengths": np.array(lengths, np.int64)}


def join(chunks: Chunks, spool: epath.Path) -> Encoded:
    """All chunks one after the other, their columns in files below `spool`."""
    entries, lengths, account = [], [], {}
    with token_store.appending(spool) as append:
        for number in chunks.numbers:
            columns = chunks.load(number)
            for entry, length in zip(chunks.entries(number), columns.pop("lengths").tolist(), strict=True):
                if length < 0:
                    documents.count(account, Dropped(entry.id, NOT_EXACT, entry.bytes), tokens=-length)
                    continue
                entries.append(entry)
                lengths.append(length)
            append(columns)
    _check_failures(account, len(chunks.side.entries))
    lengths_N = np.array(lengths, np.int64)
    return Encoded(token_store.columns(spool), tuple(entries), np.cumsum(lengths_N) - lengths_N, lengths_N, account)


def _ids(chunk: Sequence[Document], tokenizer: Tokenizer) -> Iterator[Int[np.ndarray, "T"]]:
    """The ids of every document: those it came with, or those of its text."""
    encoded = iter(tokenizer.encode_batch([document.text for document in chunk if document.ids is None]))
    return (next(encoded) if document.ids is None else document.ids for document in chunk)


def _check_failures(account: Account, total: int) -> None:
    failed = account.get(NOT_EXACT)
    require(
        failed is None or failed.documents <= MOST_FAILURES * total,
        f"the tokenizer does not give back {failed and failed.documents} of {total} documents byte for byte (for one, "
        f"{failed and failed.sample!r}), so bits per byte and word categories would be wrong. It folds case, spaces or "
        "accents, or lacks characters: take one with byte-level BPE or byte fallback and no normalisation, or "
        "data.tokenizer='train'.",
    )
