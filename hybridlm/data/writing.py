"""Encoded documents -> shuffled, packed, written rows of one split, with the counts that account for every token."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
from etils import epath

from hybridlm.data import packing, shards
from hybridlm.data.encoding import Encoded
from hybridlm.data.manifest import Split, record_dtype
from hybridlm.data.packing import Pieces
from hybridlm.data.progress import Progress
from hybridlm.data.tokenizer import Tokenizer

TOKENS_PER_SHARD = 1 << 24
TOKENS_PER_BLOCK = 1 << 20
"""Tokens laid out at once in memory."""


@dataclasses.dataclass(frozen=True)
class RowWriter:
    """Writes rows of `row_length` tokens into `directory`; the column `language` counts in `domains`."""

    encoded: Encoded
    tokenizer: Tokenizer
    domains: tuple[str, ...]
    row_length: int
    directory: epath.Path

    def write(self, split: str, *, seed: int | None, progress: Progress) -> tuple[Split, np.ndarray]:
        """The split's record, and how often each id stands in its rows; without a seed documents keep their order."""
        order = self._order(split, seed)
        pieces = packing.plan(self.encoded.lengths_N[order], self.row_length)
        counts_V = np.zeros(self.tokenizer.vocab_size, np.int64)
        rows_per_shard = max(1, TOKENS_PER_SHARD // self.row_length)
        written = []
        with progress(f"writing {split}", pieces.rows * self.row_length) as advance:
            for number, first in enumerate(range(0, pieces.rows, rows_per_shard)):
                blocks = self._blocks(pieces, order, first, min(first + rows_per_shard, pieces.rows))
                path = self.directory / f"{split}-{number:05d}.array_record"
                written.append(shards.write(_counted(blocks, counts_V, advance), path))
        counts_V[self.tokenizer.pad] = 0
        return self._record(order, pieces, tuple(written)), counts_V

    @functools.cached_property
    def columns(self) -> dict[str, str]:
        """Name -> dtype of every column, each as narrow as its values allow."""
        largest = {"segment_ids": self.row_length, "positions": self.row_length}
        largest |= {name: int(values.max()) for name, values in self._per_document.items()}
        narrow = {name: np.min_scalar_type(value).name for name, value in largest.items()}
        return {name: column.dtype.name for name, column in self.encoded.per_token.items()} | narrow

    @functools.cached_property
    def _per_document(self) -> dict[str, np.ndarray]:
        entries = self.encoded.entries
        group_ids = {group: number for number, group in enumerate(dict.fromkeys(entry.group for entry in entries))}
        return {
            "document": np.array([entry.place for entry in entries]),
            "group": np.array([group_ids[entry.group] for entry in entries]),
            "language": np.array([self.domains.index(entry.domain) for entry in entries]),
        }

    def _order(self, split: str, seed: int | None) -> np.ndarray:
        chosen = np.flatnonzero([entry.split == split for entry in self.encoded.entries])
        if seed is None:
            return chosen
        return np.random.default_rng([seed, *split.encode()]).permutation(chosen)

    def _blocks(self, pieces: Pieces, order: np.ndarray, first: int, stop: int) -> Iterator[np.ndarray]:
        """Rows first to stop - 1 as structured arrays."""
        record = record_dtype(self.columns, self.row_length)
        per_document = {name: values[order] for name, values in self._per_document.items()}
        special = {"pad": self.tokenizer.pad, "bos": self.tokenizer.bos, "eos": self.tokenizer.eos}
        step = max(1, TOKENS_PER_BLOCK // self.row_length)
        for begin in range(first, stop, step):
            part = pieces.between(begin, min(begin + step, stop))
            columns = packing.fill(
                part, self.row_length, self.encoded.per_token, per_document, self.encoded.begins_N[order], **special
            )
            block = np.empty(part.rows, record)
            for name, values in columns.items():
                block[name] = values
            yield block

    def _record(self, order: np.ndarray, pieces: Pieces, written: tuple[shards.Shard, ...]) -> Split:
        entries = [self.encoded.entries[n] for n in order]
        lengths = self.encoded.lengths_N[order]
        tokens = {"text": int(lengths.sum()), "bos": len(pieces.row_P), "eos": len(order)}
        return Split(
            rows=pieces.rows,
            documents=len(order),
            groups=len({entry.group for entry in entries}),
            cut_documents=int((lengths + 2 > self.row_length).sum()),
            text_bytes=sum(entry.bytes for entry in entries),
            tokens=tokens | {"padding": pieces.rows * self.row_length - sum(tokens.values())},
            shards=written,
        )


def _counted(
    blocks: Iterator[np.ndarray], counts_V: np.ndarray, advance: Callable[[int], None]
) -> Iterator[np.ndarray]:
    """Passes the blocks on, adding their tokens to `counts_V`."""
    for block in blocks:
        counts_V += np.bincount(block["tokens"].reshape(-1), minlength=len(counts_V))
        yield block
        advance(block["tokens"].size)
