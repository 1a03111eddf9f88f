"""Rows as records of ArrayRecord files, written once, read at random; a damaged file or record is found and named."""

import errno
from collections.abc import Iterable

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from etils import epath

from hybridlm.data.damage import DamagedData, sha256
from hybridlm.data.directories import local_copy
from hybridlm.data.manifest import Shard

# One record a group, or every random read would decompress its neighbours.
_WRITER_OPTIONS = "group_size:1,zstd:1"
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


def write(blocks: Iterable[np.ndarray], path: epath.Path) -> Shard:
    """Writes blocks of rows (structured arrays) to one local file; OSError where the disk is full."""
    rows = 0
    try:
        writer = ArrayRecordWriter(str(path), _WRITER_OPTIONS)
        for block in blocks:
            rows += len(block)
            for record in block:
                writer.write(record.tobytes())
        writer.close()
    except RuntimeError as error:  # all that the library raises; only the text tells a full disk from other failures
        raise OSError(errno.ENOSPC if "No space left" in str(error) else errno.EIO, str(error), str(path)) from error
    return Shard(file=path.name, rows=rows, bytes=path.stat().length, sha256=sha256(path))


class ShardReader:
    """Random access to the rows of one shard, its size checked at once and every record's checksum as it is read."""

    def __init__(self, path: epath.Path, shard: Shard, record: np.dtype):
        self.path = path
        self._shard = shard
        self._record = record
        self._check_size()
        try:
            self._reader = ArrayRecordReader(str(local_copy(path, shard.sha256)), _READER_OPTIONS)
            found = self._reader.num_records()
        except RuntimeError as error:
            raise DamagedData(path, f"it cannot be opened ({error})") from error
        if found != shard.rows:
            raise DamagedData(path, f"it holds {found} records, not {shard.rows}")

    def read(self, records: list[int]) -> list[bytes]:
        """The bytes of these records; DamagedData names the first that cannot be read."""
        try:
            raw = self._reader.read(records)
        except RuntimeError as error:
            raise DamagedData(self.path, f"record {self._first_damaged(records)} cannot be read ({error})") from error
        if wrong := [n for n, content in zip(records, raw) if len(content) != self._record.itemsize]:
            raise DamagedData(self.path, f"record {wrong[0]} has not the {self._record.itemsize} bytes of a row")
        return raw

    def verify(self) -> None:
        """Raises DamagedData unless the file's hash is the one recorded; reads all of it."""
        if sha256(self.path) != self._shard.sha256:
            raise DamagedData(self.path, "its SHA-256 is not the one recorded in the manifest")

    def _check_size(self) -> None:
        size = self.path.stat().length if self.path.exists() else None
        if size is None:
            raise DamagedData(self.path, "it is missing")
        if size != self._shard.bytes:
            raise DamagedData(self.path, f"it has {size} bytes, not {self._shard.bytes}")

    def _first_damaged(self, records: list[int]) -> int:
        for record in records:
            try:
                self._reader.read([record])
            except RuntimeError:
                return record
        return records[0]
