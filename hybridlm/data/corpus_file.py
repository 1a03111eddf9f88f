"""A surveyed corpus as a Parquet file, so that whoever goes on with a preparation need not survey it again."""

import dataclasses
import json

import pyarrow
from etils import epath
from pyarrow import parquet

from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data.audit import Duplicates, Overlap
from hybridlm.data.corpus import Corpus
from hybridlm.data.documents import Drops, Entry


def save(corpus: Corpus, path: epath.Path) -> None:
    """Writes one row per document, and all else into the metadata."""
    columns = dict(zip(Entry._fields, zip(*corpus.entries))) if corpus.entries else dict.fromkeys(Entry._fields, ())
    others = dataclasses.asdict(dataclasses.replace(corpus, entries=()))
    table = pyarrow.table({name: list(values) for name, values in columns.items()})
    with path.open("wb") as stream:
        parquet.write_table(table.replace_schema_metadata({"corpus": json.dumps(others)}), stream)


def load(path: epath.Path) -> Corpus:
    """The corpus that `save` wrote."""
    with path.open("rb") as stream:
        table = parquet.read_table(stream)
    others = json.loads(table.schema.metadata[b"corpus"])
    return Corpus(
        sources=tuple(Source(**named) for named in others["sources"]),
        audit=AuditConfig(**others["audit"]),
        entries=tuple(map(Entry._make, zip(*(column.to_pylist() for column in table.columns)))),
        account={reason: Drops(**drops) for reason, drops in others["account"].items()},
        duplicates=Duplicates(**others["duplicates"]),
        overlap={split: Overlap(**found) for split, found in others["overlap"].items()},
    )
