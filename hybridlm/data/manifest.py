"""What a directory of prepared rows holds, and how to tell that it still does: counts, layout, hashes, provenance."""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Mapping

import numpy as np
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.sources import Source
from hybridlm.data.audit import Duplicates, Overlap
from hybridlm.data.documents import Drops

FILE_NAME = "manifest.json"
FORMAT = 2
"""Version of the layout on disk."""
_NAME = re.compile(r"\w[\w.-]*")
"""What files here are called: no folder, no way up."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of rows: its size and hash as written."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portion:
    """The rows of one source in one split: no row holds text of two sources, so that they can be mixed in any shares.

    Attributes:
      source: its name. tokens: how many are text, bos, eos and padding. text_bytes: UTF-8 length of its documents.
      cut_documents: documents too long for one row of their own; they were split, and no token was lost.
    """

    source: str
    documents: int
    cut_documents: int
    text_bytes: int
    tokens: dict[str, int]
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Rows of all its shards."""
        return sum(shard.rows for shard in self.shards)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """One split: the portions of its sources, whose rows follow each other.

    Attributes:
      columns: name -> dtype of the T values that a record holds, in the order they follow each other.
      names: SHA-256 of the file with the names of its documents and groups; "" where there is none.
    """

    groups: int
    columns: dict[str, str]
    portions: tuple[Portion, ...]
    names: str = ""

    @property
    def rows(self) -> int:
        """Rows of all sources."""
        return sum(portion.rows for portion in self.portions)

    @property
    def documents(self) -> int:
        """Documents of all sources."""
        return sum(portion.documents for portion in self.portions)

    @property
    def cut_documents(self) -> int:
        """Documents of all sources that were too long for one row."""
        return sum(portion.cut_documents for portion in self.portions)

    @property
    def text_bytes(self) -> int:
        """UTF-8 length of all documents."""
        return sum(portion.text_bytes for portion in self.portions)

    @property
    def tokens(self) -> dict[str, int]:
        """How many are text, bos, eos and padding."""
        kinds = dict.fromkeys(kind for portion in self.portions for kind in portion.tokens)
        return {kind: sum(portion.tokens[kind] for portion in self.portions) for kind in kinds}

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The files of its rows, in order."""
        return tuple(shard for portion in self.portions for shard in portion.shards)

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Where the rows of every source begin and stop."""
        ends = itertools.accumulate((portion.rows for portion in self.portions), initial=0)
        return {portion.source: place for portion, place in zip(self.portions, itertools.pairwise(ends))}

    @property
    def fill(self) -> float:
        """Share of the rows' tokens that is not padding."""
        return 1 - self.tokens["padding"] / max(1, sum(self.tokens.values()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about a prepared directory but the rows.

    Attributes:
      row_length: T. domains: names of the values of the column `language`. splits: by name.
      labels: question and labels of every family that has a column. drops: what was left out, by reason.
      sources: as they were named, with language, licence and shares held out. recipe: everything the rows depend on,
        the SHA-256 of every source in place of its path; equal recipes give equal rows.
      files: SHA-256 of the small files beside the rows, by name.
      duplicates: exact ones. overlap: of every held-out split with training. Rows that were never audited have none.
    """

    format: int = FORMAT
    row_length: int
    domains: tuple[str, ...]
    splits: dict[str, Split]
    labels: dict[str, dict]
    drops: dict[str, Drops]
    sources: tuple[Source, ...]
    recipe: dict[str, object]
    tokenizer_sha256: str
    files: dict[str, str]
    duplicates: Duplicates = dataclasses.field(default_factory=Duplicates)
    overlap: dict[str, Overlap] = dataclasses.field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what a batch can hold: layout, names, tokenizer and the content of every shard."""
        content = [self.format, self.row_length, self.domains, self.labels, self.tokenizer_sha256]
        splits = {
            name: [split.columns, [shard.sha256 for shard in split.shards]]
            for name, split in sorted(self.splits.items())
        }
        return hashlib.sha256(json.dumps([*content, splits]).encode()).hexdigest()

    def record(self, split: str) -> np.dtype:
        """Binary layout of one row of a split."""
        return record_dtype(self.splits[split].columns, self.row_length)


def record_dtype(columns: Mapping[str, str], row_length: int) -> np.dtype:
    """The row of one record: T values of every column, column after column, little-endian, unpadded."""
    return np.dtype([(name, np.dtype(dtype).newbyteorder("<"), (row_length,)) for name, dtype in columns.items()])


def save(manifest: Manifest, directory: epath.Path) -> None:
    """Writes `manifest.json`, the fingerprint included for the reader's eye."""
    fields = dataclasses.asdict(manifest) | {"fingerprint": manifest.fingerprint}
    (directory / FILE_NAME).write_text(json.dumps(fields, indent=1))


def load(directory: epath.Path) -> Manifest:
    """Reads `manifest.json`; raises ConfigError where there is none, or one of another format."""
    path = directory / FILE_NAME
    require(
        path.exists(),
        f"{directory} holds no {FILE_NAME}, so it is no prepared data, or its preparation never finished; "
        "run `hybridlm prepare` for this directory, or name another.",
    )
    try:
        fields = json.loads(path.read_text())
        fingerprint = fields.pop("fingerprint")
        if fields["format"] != FORMAT:
            raise ConfigError(
                f"{path} has format {fields['format']}, and this version reads format {FORMAT}; prepare the data anew."
            )
        manifest = _from_json(fields)
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is damaged ({error!r}); remove the directory and prepare the data anew.") from error
    _check_names(path, manifest)
    require(
        manifest.fingerprint == fingerprint,
        f"{path} was changed after it was written: its content has fingerprint {manifest.fingerprint}, but it records "
        f"{fingerprint}; prepare the data anew.",
    )
    return manifest


def _check_names(path: epath.Path, manifest: Manifest) -> None:
    """Raises ConfigError if the manifest names a file that does not lie beside it."""
    shards = [shard.file for split in manifest.splits.values() for shard in split.shards]
    outside = [name for name in (*shards, *manifest.files, *manifest.splits) if not _NAME.fullmatch(name)]
    require(
        not outside,
        f"{path} names {outside}, and the files of prepared rows lie beside their manifest; somebody has changed it; "
        "prepare the data anew.",
    )


def _from_json(fields: dict) -> Manifest:
    splits = {
        name: Split(**split | {"portions": tuple(_portion(portion) for portion in split["portions"])})
        for name, split in fields["splits"].items()
    }
    drops = {reason: Drops(**drop) for reason, drop in fields["drops"].items()}
    names = {"domains": tuple(fields["domains"]), "sources": tuple(Source(**named) for named in fields["sources"])}
    duplicates = Duplicates(**fields["duplicates"])
    overlap = {split: Overlap(**found) for split, found in fields["overlap"].items()}
    audit = {"duplicates": duplicates, "overlap": overlap}
    return Manifest(**fields | names | audit | {"splits": splits, "drops": drops})


def _portion(fields: dict) -> Portion:
    return Portion(**fields | {"shards": tuple(Shard(**shard) for shard in fields["shards"])})
