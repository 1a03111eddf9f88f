"""The published form of per-token scores: one Parquet row a token, from any engine, and the texts in a table beside it.

`docs/token-scores.md` describes the columns for people; this file is their one definition. A score is in nats and lies
in the column `score/<reading>`; what it means (kind, information set) stands in the file's metadata, under "hybridlm".
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
from etils import epath

from hybridlm.config.errors import ConfigError, nearest, one_of, require
from hybridlm.facts.kinds import ScoreKind

FORMAT, VERSION = "hybridlm.tokens", 1
_KEY = b"hybridlm"

PLACES = {
    "document": pa.dictionary(pa.int32(), pa.string()),
    "group": pa.dictionary(pa.int32(), pa.string()),
    "position": pa.int32(),
    "byte_start": pa.int32(),
    "byte_end": pa.int32(),
}
"""Required of every token, and never null: where it stands, and the group that intervals cluster by."""

FACTS = {"token": pa.int32(), "frequency_rank": pa.int32()}
"""Optional: the vocabulary id, and its rank by frequency in the training text, from 1."""

VALUES = {
    "score": pa.float32(),
    "error": pa.float32(),
    "entropy": pa.float32(),
    "confidence": pa.float32(),
    "correct": pa.bool_(),
    "rank": pa.int32(),
    "margin": pa.float32(),
    "brier": pa.float32(),
    "gate": pa.float32(),
}
"""Of a reading, as `score/<reading>` and so on; only `score` is required. Null is a token that was not scored."""

LABEL = pa.dictionary(pa.int8(), pa.string())
_OF_LABELS = ("label", "likeliest")
"""`label/<family>` of the target, and `likeliest/<reading>/<family>` of what the reading held most likely."""

TEXTS = pa.schema([("document", pa.string()), ("text", pa.string())])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What the scores of a reading mean.

    Attributes:
      kind: label of a `ScoreKind`. sees: what a prediction was allowed to see, in words.
      samples: Monte-Carlo samples per score; 1 where it is exact.
    """

    kind: str = "exact"
    sees: str = "earlier tokens"
    samples: int = 1

    def __post_init__(self):
        one_of("kind of a reading", self.kind, [kind.label for kind in ScoreKind])
        require(
            self.kind != ScoreKind.BOUND.label,
            "a reading of single tokens cannot be of kind 'bound', which is of a whole text: its parts are of kind "
            "'share'.",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A partition of the tokens; `labels` is label -> definition, in order.

    Attributes:
      is_ordered: whether the labels after the first rise. is_known_before: whether the label follows from what stands
        before the token (its domain, its position), so that confidences may be judged by it.
    """

    labels: Mapping[str, str]
    question: str = ""
    is_ordered: bool = False
    is_known_before: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """What a token file says of itself.

    Attributes:
      tokenizer: hash, or a name with a revision; files that agree in it are compared token by token, others by bytes.
      checkpoint: hash or name of the weights. code: engine and version that computed the scores.
      data: hash of the documents; the writer fills it in. run: anything else worth keeping.
    """

    readings: Mapping[str, Reading]
    families: Mapping[str, Family] = dataclasses.field(default_factory=dict)
    tokenizer: str
    checkpoint: str
    code: str
    data: str = ""
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        require(len(self.readings) > 0, "a token file needs at least one reading; name what was scored, such as 'ar'.")
        unfit = [name for name in (*self.readings, *self.families) if "/" in name or not name]
        require(not unfit, f"names of readings and families become parts of columns and hold no '/': {unfit}.")
        for name, family in self.families.items():
            require(
                0 < len(family.labels) <= 128,
                f"family {name!r} has {len(family.labels)} labels; 1 to 128 are possible.",
            )


def schema(header: Header, columns: Collection[str] | None = None) -> pa.Schema:
    """The schema of a file; of its optional columns, those in `columns`."""
    required = [*PLACES, *(f"score/{name}" for name in header.readings), *(f"label/{name}" for name in header.families)]
    missing = [name for name in required if columns is not None and name not in columns]
    require(
        not missing,
        f"the columns {missing} are missing: every token needs {', '.join(PLACES)}, and a value of every reading and "
        "family that the header names.",
    )
    fields = {name: _type(header, name) for name in (required if columns is None else columns)}
    return pa.schema(fields, metadata=encode(header))


def _type(header: Header, column: str) -> pa.DataType:
    """The type of a column by its name; raises where no such column can be."""
    known = PLACES | FACTS
    if column in known:
        return known[column]
    what, *names = column.split("/")
    places = [header.readings, header.families][what == "label" :]
    if (what in VALUES and len(names) == 1) or (what in _OF_LABELS and len(names) == len(places)):
        for name, names_known in zip(names, places):
            if name not in names_known:
                raise ConfigError(
                    f"column {column!r} names {name!r}, which the header does not{nearest(name, names_known)}"
                )
        return VALUES.get(what, LABEL)
    raise ConfigError(
        f"{column!r} is no column of a token file; known are {', '.join(known)}, {', '.join(VALUES)} as in "
        "score/<reading>, label/<family> and likeliest/<reading>/<family>."
    )


def encode(header: Header) -> dict[bytes, bytes]:
    """The header as the metadata of a Parquet schema."""
    content = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(header)}
    return {_KEY: json.dumps(content, allow_nan=False).encode()}


def decode(metadata: Mapping[bytes, bytes] | None, path: epath.PathLike) -> Header:
    """The header of a file's metadata; raises where it is no token file, or of another version."""
    content = json.loads((metadata or {}).get(_KEY, b"{}"))
    require(
        content.pop("format", None) == FORMAT,
        f"{path} is no file of token scores: its metadata do not name the format {FORMAT!r}. docs/token-scores.md "
        "shows how to make one from the output of another engine; `hybridlm evaluate` writes one.",
    )
    version = content.pop("version", None)
    require(
        version == VERSION,
        f"{path} is of version {version} of the token scores, but this hybridlm reads version {VERSION}; "
        + ("update hybridlm." if isinstance(version, int) and version > VERSION else "score the text again."),
    )
    readings = {name: Reading(**fields) for name, fields in content.pop("readings").items()}
    families = {name: Family(**fields) for name, fields in content.pop("families").items()}
    return Header(readings=readings, families=families, **content)


def texts_path(path: epath.PathLike) -> epath.Path:
    """Where the texts of a token file lie: `tokens.parquet` has `tokens.documents.parquet` beside it."""
    path = epath.Path(path)
    return path.with_name(f"{path.stem}.documents.parquet")


def data_hash(texts: Mapping[str, str]) -> str:
    """What identifies the scored documents, whatever their order: SHA-256 of their ids and texts."""
    digest = hashlib.sha256()
    for name in sorted(texts):
        for part in (name.encode(), texts[name].encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
