"""Writes down the examples of a seqio Task or Mixture: a program of its own, since seqio brings TensorFlow.

    python -m hybridlm.data.seqio_export seqio:my_group.tasks:my_mixture DIRECTORY

All preprocessors run, with one seed and no sequence lengths, and nothing is shuffled. The training split of a Mixture
is drawn by its rates from Tasks that are read once, so it ends as the Mixture's sampling does: by default, with the
first Task that has no more. Its other splits are those of its Tasks, each whole.
"""

import contextlib
import copy
import difflib
import importlib.metadata
import itertools
import json
import os
import pathlib
import sys
import types
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow
from pyarrow import parquet

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.data import seqio_examples
from hybridlm.data.seqio_examples import Reading
from hybridlm.data.source_seqio import EXAMPLES, MARK, MODEL, NAMES, module_and_name

SEED = 0
ROWS = 256
"""Examples fetched and written at once."""

SCHEMA = pyarrow.schema(
    {
        "task": pyarrow.string(),
        "split": pyarrow.string(),
        **dict.fromkeys(NAMES, pyarrow.binary()),
        "text": pyarrow.large_binary(),
        "ids": pyarrow.list_(pyarrow.int32()),
        "prefix_length": pyarrow.int32(),
        "ends_removed": pyarrow.int8(),
    }
)
"""An example has `text` or `ids`, of which the first `prefix_length` are its inputs and the others its targets."""

LONGEST = 700
"""Characters shown of another library's error, from its beginning and from its end."""


def export(source: str, spool: pathlib.Path) -> None:
    """Writes what `source_seqio.read` reads; raises ConfigError where the source cannot be run, or is no text."""
    seqio = _library(source)
    provider = _provider(seqio, source)
    with _explained(source, "looking at its features and splits"):
        read, model = seqio_examples.reading(provider.output_features, source)
        splits = sorted(provider.splits)
    spool.mkdir(parents=True)
    counts, ends = {split: Counter() for split in splits}, 0
    with parquet.ParquetWriter(spool / EXAMPLES, SCHEMA, compression="zstd") as writer:
        for split in splits:
            for rows in itertools.batched(_rows(seqio, provider, split, read, source), ROWS):
                writer.write_table(pyarrow.Table.from_pylist(list(rows), SCHEMA))
                counts[split].update(row["task"] for row in rows)
                ends += sum(row["ends_removed"] for row in rows)
    if model is not None:
        (spool / MODEL).write_bytes(model)
    versions = {name: importlib.metadata.version(name) for name in ("seqio", "tensorflow")}
    summary = {"source": source, "examples": counts, "ends_removed": ends, "versions": versions}
    (spool / MARK).write_text(json.dumps(summary, indent=1))


def _library(source: str) -> types.ModuleType:
    try:
        import seqio
    except ImportError as error:
        raise ConfigError(
            f"the source {source!r} needs the package seqio, which cannot be imported ({error}). Install it, and with "
            "it TensorFlow, about 2 GB, which only preparation uses: pip install seqio"
        ) from error
    return seqio


def _provider(seqio: types.ModuleType, source: str):
    """The Task or Mixture."""
    module, name = module_and_name(source)
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever the module's own code raises
        raise ConfigError(
            f"the source {source!r}: importing {module} failed ({_short(error)}). Modules are looked for in the "
            f"current directory, {os.getcwd()}, in PYTHONPATH, and among the installed packages."
        ) from error
    known = [*seqio.MixtureRegistry.names(), *seqio.TaskRegistry.names()]
    close = ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0)) or "none"
    require(
        name in known,
        f"the source {source!r}: {module} registers no Task or Mixture {name!r}. Of the {len(known)} registered, the "
        f"nearest: {close}.",
    )
    return seqio.get_mixture_or_task(name)


def _rows(seqio: types.ModuleType, provider, split: str, read: Reading, source: str) -> Iterator[dict]:
    with _explained(source, f"reading its split {split!r}"):
        for dataset in _datasets(seqio, provider, split):
            for example in _examples(dataset):
                named = {name: example[name] for name in NAMES}
                yield {"task": example["task"].decode(), "split": split, **named, **read(example)}


def _examples(dataset) -> Iterator[dict]:
    """The examples of a dataset, fetched many at a time, which is several times as fast."""
    for batch in dataset.ragged_batch(ROWS):
        columns = [_unbatched(column) for column in batch.values()]
        yield from (dict(zip(batch, values)) for values in zip(*columns))


def _unbatched(column) -> Iterable:
    if not hasattr(column, "row_splits"):
        return column.numpy()
    return np.split(column.values.numpy(), column.row_splits.numpy()[1:-1])


def _datasets(seqio: types.ModuleType, provider, split: str) -> list:
    if isinstance(provider, seqio.Mixture) and split == "train":
        mixture = copy.copy(provider)
        mixture.get_task_dataset = lambda task, *_: _dataset(task, split)
        return [mixture.get_dataset(split=split, shuffle=False, seed=SEED)]
    return [_dataset(task, split) for task in seqio.get_subtasks(provider) if split in task.splits]


def _dataset(task, split: str):
    """The examples of a Task, once, from its cache if it has one, each with the name of its Task."""
    has_cache = task.supports_caching and task.cache_dir is not None
    require(
        has_cache or not task.requires_caching,
        f"the Task {task.name!r} may only be read from a cache, and none was found. Write it with seqio_cache_tasks, "
        "and name its directory in the module of the Task: seqio.add_global_cache_dirs([...]).",
    )
    dataset = task.get_dataset(split=split, shuffle=False, seed=SEED, use_cached=has_cache)
    named = [name for name in NAMES if _is_string(dataset.element_spec.get(name))]
    used = [name for name in seqio_examples.FEATURES if name in dataset.element_spec]

    def chosen(example):
        names = {name: example[name] if name in named else "" for name in NAMES}
        return {"task": task.name, **names, **{name: example[name] for name in used}}

    return dataset.map(chosen)


def _is_string(spec) -> bool:
    return spec is not None and spec.dtype.name == "string" and spec.shape.rank == 0


@contextlib.contextmanager
def _explained(source: str, what: str) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # whatever a Task's own code, TensorFlow and TFDS raise
        raise ConfigError(
            f"the source {source!r}: {what} failed ({_short(error)}). Data that a Task would download must be there "
            "where there is no network; and preprocessors get sequence_length=None, since documents stay whole here."
        ) from error


def _short(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]} ... {text[-LONGEST:]}"


def main(source: str, spool: str) -> int:
    """Exports; what a user got wrong is said on standard output, where nothing else is written."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            export(source, pathlib.Path(spool))
    except ConfigError as error:
        print(error)
        return ExitCode.CONFIG
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
