"""A corpus as tokens and labels: every text encoded, checked byte for byte, and labelled, in one pass."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.data import documents, token_store, words
from hybridlm.data.corpus import Corpus
from hybridlm.data.documents import Account, Document, Dropped, Entry
from hybridlm.data.progress import Progress
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.words import WordRanks

BATCH_BYTES = 1 << 22
"""Text encoded at once."""

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


def encode(
    corpus: Corpus, tokenizer: Tokenizer, ranks: WordRanks, directory: epath.Path, progress: Progress
) -> Encoded:
    """Encodes into files below `directory`; a document that the tokenizer does not give back exactly is dropped."""
    dtypes = {"tokens": np.min_scalar_type(tokenizer.vocab_size - 1), "word_band": np.dtype(np.int8)}
    entries, lengths, account = [], [], dict(corpus.account)
    with token_store.appending(directory, dtypes) as append, progress("encoding", corpus.bytes()) as advance:
        for entry, text, ids in _encoded(corpus, tokenizer):
            advance(entry.bytes)
            if tokenizer.to_bytes(ids.tolist()) != text.encode():
                documents.count(account, Dropped(entry.id, NOT_EXACT, entry.bytes), tokens=len(ids))
                continue
            ends = np.cumsum(tokenizer.byte_lengths[ids])
            append({"tokens": ids, "word_band": words.bands(text, ends, ranks)})
            entries.append(entry)
            lengths.append(len(ids))
    _check_failures(account, len(corpus.entries))
    lengths_N = np.array(lengths, np.int64)
    per_token = token_store.columns(directory, dtypes)
    return Encoded(per_token, tuple(entries), np.cumsum(lengths_N) - lengths_N, lengths_N, account)


def _encoded(corpus: Corpus, tokenizer: Tokenizer) -> Iterator[tuple[Entry, str, np.ndarray]]:
    for batch in _batches(corpus.documents()):
        texts = [document.text for _, document in batch]
        yield from zip([entry for entry, _ in batch], texts, tokenizer.encode_batch(texts))


def _batches(found: Iterator[tuple[Entry, Document]]) -> Iterator[list[tuple[Entry, Document]]]:
    batch, size = [], 0
    for entry, document in found:
        batch.append((entry, document))
        size += entry.bytes
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _check_failures(account: Account, total: int) -> None:
    failed = account.get(NOT_EXACT)
    if failed and failed.documents > MOST_FAILURES * total:
        raise ConfigError(
            f"the tokenizer does not give back {failed.documents} of {total} documents byte for byte (for one, "
            f"{failed.sample!r}), so bits per byte and word categories would be wrong. It folds case, spaces or "
            "accents, or lacks characters: take one with byte-level BPE or byte fallback and no normalisation, or "
            "data.tokenizer='train'."
        )
