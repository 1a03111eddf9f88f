"""What documents and groups of held-out rows are called, in a file per split, so that scores can be traced to texts."""

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping

import pyarrow
from etils import epath

from hybridlm.data.damage import DamagedData, sha256
from hybridlm.data.documents import Entry

TRAINING = "train"
"""The split whose documents nobody asks for by name."""


@dataclasses.dataclass(frozen=True)
class Names:
    """Names by number; a number without one is its own name."""

    documents: Mapping[int, str] = dataclasses.field(default_factory=dict)
    groups: Mapping[int, str] = dataclasses.field(default_factory=dict)

    def document(self, number: int) -> str:
        """The id of a document."""
        return self.documents.get(number, str(number))

    def group(self, number: int) -> str:
        """The name of a group."""
        return self.groups.get(number, str(number))


def of(entries: Iterable[Entry], group_ids: Mapping[str, int]) -> Names:
    """The names of these documents; ids that several share get their place behind them."""
    entries = list(entries)
    times = collections.Counter(entry.id for entry in entries)
    documents = {e.place: e.id if times[e.id] == 1 else f"{e.id} #{e.place}" for e in entries}
    return Names(documents, {group_ids[entry.group]: entry.group for entry in entries})


def save(names: Names, directory: epath.Path, split: str) -> str:
    """Writes the names of a split and returns the SHA-256 of the file."""
    content = {kind: list(of_kind.items()) for kind, of_kind in dataclasses.asdict(names).items()}
    packed = pyarrow.compress(json.dumps(content, ensure_ascii=False).encode(), "zstd", asbytes=True)
    _path(directory, split).write_bytes(packed)
    return sha256(_path(directory, split))


def load(directory: epath.Path, split: str, digest: str) -> Names:
    """The names of a split; none where its rows were prepared without (no digest)."""
    if not digest:
        return Names()
    path = _path(directory, split)
    if not path.exists() or sha256(path) != digest:
        raise DamagedData(path, "it is missing, or its SHA-256 is not the one recorded in the manifest")
    with pyarrow.CompressedInputStream(pyarrow.BufferReader(path.read_bytes()), "zstd") as stream:
        content = json.loads(stream.read().decode())
    return Names(**{kind: dict(map(tuple, pairs)) for kind, pairs in content.items()})


def _path(directory: epath.Path, split: str) -> epath.Path:
    return directory / f"{split}-names.json.zst"
