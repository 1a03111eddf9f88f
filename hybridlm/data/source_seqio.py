"""Tasks and Mixtures of seqio: another process runs them and writes down their examples, which are read here.

TensorFlow lives and ends with that process. What it leaves, a spool, is read any number of times and on any machine.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow
from etils import epath
from pyarrow import parquet

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.sources import AuditConfig
from hybridlm.data import records, tokenizer_files
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.tokenizer import Tokenizer

PREFIX = "seqio:"
EXAMPLES, MODEL, MARK = "examples.parquet", "tokenizer.model", "seqio.json"
"""What lies in a spool: a row per example; the sentencepiece model if they are tokens; what was exported, the last."""

NAMES = ("id", "group", "domain", "language")
"""Features that name an example, if it has them and they are strings."""

ROWS = 64
"""Rows held at once."""

UNKNOWN = "holds the unknown token, whose text is lost"


def is_named(source: str) -> bool:
    """Whether the source is a Task or Mixture by its name."""
    return source.startswith(PREFIX)


def is_spool(path: str) -> bool:
    """Whether the path is a directory that `export` wrote."""
    return (epath.Path(path) / MARK).exists()


def module_and_name(source: str) -> tuple[str, str]:
    """The two parts of `seqio:module:name`."""
    parts = re.fullmatch(r"seqio:([\w.]+):(.+)", source)
    require(
        parts is not None,
        f"the source {source!r} is not of the form seqio:module:name, the module that registers a Task or Mixture and "
        "the name it has there: seqio:my_group.tasks:my_mixture.",
    )
    return parts.groups()


def export(source: str, spool: epath.PathLike) -> None:
    """Runs the Task or Mixture in a process of its own and writes its examples into the new local directory `spool`.

    Raises ConfigError if there is no such Task or Mixture, or none whose examples are text.
    """
    module_and_name(source)
    # Neither library may take the accelerator, which this process will need.
    alone = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "hybridlm.data.seqio_export", source, str(spool)]
    ended = subprocess.run(command, env=os.environ | alone, capture_output=True, text=True, errors="replace")
    if ended.returncode == ExitCode.CONFIG:
        raise ConfigError(ended.stdout.strip())
    if ended.returncode:
        raise OSError(
            f"the process that runs {source} ended with exit code {ended.returncode}: {ended.stderr.strip()[-2000:]}"
        )


def told(spool: epath.PathLike) -> dict[str, object]:
    """What was exported: `source`, `examples` by split and Task, `ends_removed`, `versions`."""
    return json.loads((epath.Path(spool) / MARK).read_text())


def tokenizer(spool: epath.PathLike) -> Tokenizer | None:
    """The vocabulary of examples that are tokens; None where they are text."""
    path = epath.Path(spool) / MODEL
    return tokenizer_files.load(path) if path.exists() else None


def read(spool: epath.PathLike, language: str, audit: AuditConfig) -> Iterator[Document | Dropped]:
    """The document of every example, split by split; its domain is `language` or the name of its Task.

    Its training split is divided by the hash of groups if there is no validation split. Examples of a split that is
    none of train, validation and test are dropped.
    """
    coder, is_divided = tokenizer(spool), "validation" not in told(spool)["examples"]
    for number, row in enumerate(_rows(epath.Path(spool) / EXAMPLES)):
        split, place = row["split"], f"{row['task']}/{row['split']}:{number}"
        is_ours = split in records.SPLITS and not (split == "train" and is_divided)
        fields = {"group": place, "split": split if is_ours else "", "text": row["text"]}
        # Ids often count anew in every split, so they make no groups.
        fields, domain = fields | {name: row[name] for name in NAMES if row[name]}, language or row["task"]
        if coder:
            found = _decoded(row["ids"], fields, place, domain, coder, audit)
        else:
            found = records.document(fields, place, domain, audit)
        if split not in records.SPLITS and isinstance(found, Document):
            found = Dropped(place, f"in split {split!r}, which is none of {', '.join(records.SPLITS)}", found.bytes)
        yield found


def _rows(path: epath.Path) -> Iterator[dict[str, object]]:
    with path.open("rb") as stream, parquet.ParquetFile(stream, pre_buffer=False) as table:
        for batch in table.iter_batches(ROWS):
            # Not through lists of Python's numbers, which take most of the time.
            named = batch.drop_columns(["ids"]).to_pylist()
            yield from (row | {"ids": ids.values} for row, ids in zip(named, batch["ids"]))


def _decoded(
    ids: pyarrow.Int32Array, fields: Mapping[str, object], place: str, domain: str, coder: Tokenizer, audit: AuditConfig
) -> Document | Dropped:
    """The document of tokens, which may hold no special ones, and no unknown one: its bytes would not be the text's."""
    ids = ids.to_numpy()
    special = (coder.pad, coder.bos, coder.eos, coder.mask)
    if ids.size and not (ids.min() >= 0 and ids.max() < coder.vocab_size and not np.isin(ids, special).any()):
        return records.left_out(Dropped(place, records.REASONS["unknown_ids"], ids.size), audit)
    text = coder.to_bytes(ids.tolist())
    if not coder.byte_lengths[ids].all():
        return Dropped(place, UNKNOWN, len(text))
    found = records.document({**fields, "text": text}, place, domain, audit)
    return found._replace(ids=ids) if isinstance(found, Document) else found
