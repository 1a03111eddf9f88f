"""Encoded documents -> shuffled, packed, written rows of one split, with the counts that account for every token."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
from etils import epath

from hybridlm.config.sources import Source
from hybridlm.data import names, packing, shards
from hybridlm.data.corpus import Corpus
from hybridlm.data.encoding import Encoded
from hybridlm.data.manifest import Portion, Split, record_dtype
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
    corpus: Corpus
    sources: tuple[Source, ...]
    tokenizer: Tokenizer
    domains: tuple[str, ...]
    row_length: int
    directory: epath.Path

    def write(self, split: str, *, seed: int | None, progress: Progress) -> tuple[Split, np.ndarray]:
        """The split's record, and how often each id stands in its rows; without a seed documents keep their order."""
        counts_V = np.zeros(self.tokenizer.vocab_size, np.int64)
        chosen = [n for n, entry in enumerate(self.encoded.entries) if entry.split == split]
        portions, files = [], 0
        with progress(f"writing {split}", int(self.encoded.lengths_N[chosen].sum())) as advance:
            for source in sorted({self.encoded.entries[n].source for n in chosen}):
                order = self._order(split, source, seed)
                pieces = packing.plan(self.encoded.lengths_N[order], self.row_length)
                written = self._write(split, files, pieces, order, counts_V, advance)
                portions.append(self._portion(source, order, pieces, written))
                files += len(written)
        counts_V[self.tokenizer.pad] = 0
        found = names.of((self.encoded.entries[n] for n in chosen), self._group_ids)
        digest = "" if split == names.TRAINING else names.save(found, self.directory, split)
        return Split(groups=len(found.groups), columns=self.columns, portions=tuple(portions), names=digest), counts_V

    def _write(
        self, split: str, number: int, pieces: Pieces, order: np.ndarray, counts_V: np.ndarray, advance
    ) -> tuple[shards.Shard, ...]:
        """The rows of one source, in files numbered from `number` on."""
        written, rows_per_shard = [], max(1, TOKENS_PER_SHARD // self.row_length)
        for first in range(0, pieces.rows, rows_per_shard):
            blocks = self._blocks(pieces, order, first, min(first + rows_per_shard, pieces.rows))
            path = self.directory / f"{split}-{number + len(written):05d}.array_record"
            path.unlink(missing_ok=True)  # a killed run may have left one
            written.append(shards.write(_counted(blocks, counts_V, advance), path))
        return tuple(written)

    @functools.cached_property
    def columns(self) -> dict[str, str]:
        """Name -> dtype of every column, each as narrow as its values allow."""
        largest = {"segment_ids": self.row_length, "positions": self.row_length}
        # of the whole corpus, so that these columns are alike in all splits
        largest |= {"document": self.corpus.entries[-1].place, "group": len(self._group_ids) - 1}
        largest |= {"language": len(self.domains) - 1}
        narrow = {name: np.min_scalar_type(value).name for name, value in largest.items()}
        return {name: column.dtype.name for name, column in self.encoded.per_token.items()} | narrow

    @functools.cached_property
    def _group_ids(self) -> dict[str, int]:
        groups = dict.fromkeys(entry.group for entry in self.corpus.entries)
        return {group: number for number, group in enumerate(groups)}

    @functools.cached_property
    def _per_document(self) -> dict[str, np.ndarray]:
        entries, group_ids = self.encoded.entries, self._group_ids
        return {
            "document": np.array([entry.place for entry in entries]),
            "group": np.array([group_ids[entry.group] for entry in entries]),
            "language": np.array([self.domains.index(entry.domain) for entry in entries]),
        }

    def _order(self, split: str, source: int, seed: int | None) -> np.ndarray:
        here = [(entry.split, entry.source) == (split, source) for entry in self.encoded.entries]
        chosen = np.flatnonzero(here)
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

    def _portion(self, source: int, order: np.ndarray, pieces: Pieces, written: tuple[shards.Shard, ...]) -> Portion:
        lengths = self.encoded.lengths_N[order]
        tokens = {"text": int(lengths.sum()), "bos": len(pieces.row_P), "eos": len(order)}
        return Portion(
            source=self.sources[source].called,
            documents=len(order),
            cut_documents=int((lengths + 2 > self.row_length).sum()),
            text_bytes=sum(self.encoded.entries[n].bytes for n in order),
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
