"""The files of a corpus: DOMAIN.jsonl.zst, and beside them what is in it, where it is from and what that was."""

import hashlib
import json
from collections.abc import Iterable

import pyarrow
from etils import epath

from experiments.standard_corpus.texts import Document

STATS, SOURCES, ARCHIVES = "stats.json", "sources.json", "archives.json"
_LEVEL = 12


def documents(path: epath.Path, found: Iterable[Document]) -> str:
    """Writes a line per document; the SHA-256 of the lines, which unlike the file's is that of every zstd."""
    lines = "".join(json.dumps(document._asdict(), ensure_ascii=False) + "\n" for document in found).encode()
    whole(path, pyarrow.Codec("zstd", compression_level=_LEVEL).compress(lines, asbytes=True))
    return hashlib.sha256(lines).hexdigest()


def merged(path: epath.Path, entries: dict) -> None:
    """Adds entries to a JSON object on disk, in place of those of the same name."""
    whole(path, (json.dumps(read(path) | entries, indent=1, ensure_ascii=False) + "\n").encode())


def read(path: epath.Path) -> dict:
    """A JSON object on disk; empty where there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def whole(path: epath.Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
