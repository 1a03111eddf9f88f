"""Random access to the rows of a split: any list of row numbers in, named int32 columns [rows, T] out."""

from collections.abc import Sequence

import numpy as np
from etils import epath
from jaxtyping import Int, Int32

from hybridlm.config.errors import ConfigError
from hybridlm.data import names
from hybridlm.data.manifest import Manifest
from hybridlm.data.names import Names
from hybridlm.data.shards import ShardReader
from hybridlm.data.tokenizer import Tokenizer

Columns = dict[str, Int32[np.ndarray, "B T"]]
"""A batch: `tokens`, `segment_ids` (0 is padding), `positions`, `document`, `group`, `language`, `word_band`, ..."""


class Rows:
    """The rows of one split, numbered from 0 over its shards; `ranges`: source -> its first row, and the one after."""

    def __init__(self, directory: epath.Path, manifest: Manifest, split: str, tokenizer: Tokenizer):
        shards = manifest.splits[split].shards
        self.ranges = manifest.splits[split].ranges
        self.row_length = manifest.row_length
        self.names = tuple(manifest.splits[split].columns)
        self._naming = (directory, split, manifest.splits[split].names)
        self._tokenizer = tokenizer
        self._record = manifest.record(split)
        self._readers = [ShardReader(directory / shard.file, shard, self._record) for shard in shards]
        self._begins = np.cumsum([0] + [shard.rows for shard in shards])

    def __len__(self) -> int:
        """Number of rows."""
        return int(self._begins[-1])

    def called(self) -> Names:
        """What the documents and groups are called, where the rows say so."""
        return names.load(*self._naming)

    def read(self, indices: Sequence[int] | Int[np.ndarray, "B"]) -> Columns:
        """The rows of these numbers in their order; raises where a record is damaged or holds an unknown token id."""
        wanted = np.asarray(indices, np.int64)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
            span = f"{wanted.min()} to {wanted.max()}"
            raise IndexError(f"rows are numbered 0 to {len(self) - 1}, but {span} were asked for")
        shard_of = np.searchsorted(self._begins, wanted, side="right") - 1
        raw = [b""] * len(wanted)
        for shard in np.unique(shard_of):
            here = np.flatnonzero(shard_of == shard)
            records = self._readers[shard].read((wanted[here] - self._begins[shard]).tolist())
            for place, record in zip(here.tolist(), records):
                raw[place] = record
        rows = np.frombuffer(b"".join(raw), self._record)
        self._check_ids(rows["tokens"], wanted)
        return {name: rows[name].astype(np.int32) for name in self.names}

    def verify(self) -> None:
        """Reads every shard in full and raises DamagedData where its hash is not the recorded one."""
        for reader in self._readers:
            reader.verify()

    def _check_ids(self, tokens_BT: np.ndarray, wanted: np.ndarray) -> None:
        vocab_size = self._tokenizer.vocab_size
        if tokens_BT.max(initial=0) < vocab_size:
            return
        largest_B = tokens_BT.max(axis=1)
        worst = int(largest_B.argmax())
        shard = int(np.searchsorted(self._begins, wanted[worst], side="right")) - 1
        record = wanted[worst] - self._begins[shard]
        raise ConfigError(
            f"{self._readers[shard].path}, record {record}: token id {largest_B[worst]} lies outside the vocabulary of "
            f"{vocab_size} ids. These rows were made with another tokenizer; prepare the data anew."
        )
