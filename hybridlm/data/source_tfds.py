"""Datasets of TFDS that lie prepared on disk, read example by example without TensorFlow and without the network.

The package tensorflow-datasets is imported when such a source is read, and not before.
"""

import os
import re
import types
from collections.abc import Iterator

import numpy as np
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.sources import AuditConfig
from hybridlm.data import records
from hybridlm.data.documents import Document, Dropped

PREFIX = "tfds:"
MARKS = ("dataset_info.json", "features.json")
"""The files that make a directory a dataset of TFDS."""

EXAMPLES = 64
"""Examples held at once."""


def is_named(source: str) -> bool:
    """Whether the source is a dataset of TFDS, by name or by its directory."""
    return source.startswith(PREFIX) or is_dataset(epath.Path(source))


def is_dataset(directory: epath.Path) -> bool:
    """Whether TFDS wrote the directory."""
    return all((directory / mark).exists() for mark in MARKS)


def located(source: str) -> str:
    """The directory that `tfds:name/config:version@data_dir` means, config and data_dir at will; others as they are."""
    if not source.startswith(PREFIX):
        return source
    parts = re.fullmatch(r"tfds:(\w+(?:/[\w.+-]+)?):(\d+\.\d+\.\d+)(?:@(.+))?", source)
    require(
        parts is not None,
        f"the source {source!r} is not of the form tfds:name:version or tfds:name/config:version, with @data_dir after "
        "it where the data is not in TFDS's own place: tfds:wiki40b/en:1.3.0@data/tfds.",
    )
    name, version, data_dir = parts.groups()
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return str(epath.Path(data_dir).expanduser() / name / version)


def read(source: str, language: str, audit: AuditConfig) -> Iterator[Document | Dropped]:
    """The document of every example, split by split as the dataset has them; its domain is `language` or its name.

    Its training split is divided by the hash of groups if there is no validation split. Examples of a split that is
    none of train, validation and test are dropped.
    """
    directory = epath.Path(located(source))
    require(
        is_dataset(directory),
        f"the source {source!r} is not prepared: {directory} holds no {' and '.join(MARKS)}, and nothing is downloaded "
        "here. Check name, version and data_dir, or prepare it where there is a network, with "
        "tfds.builder(name, data_dir=..., file_format='array_record').download_and_prepare().",
    )
    builder = _library(source).builder_from_directory(directory)
    _check_features(builder.info.features, directory)
    is_divided = "validation" not in builder.info.splits
    for split in sorted(builder.info.splits):
        for number, example in enumerate(_examples(builder, split, directory)):
            place = f"{builder.name}/{split}:{number}"
            if split not in records.SPLITS:
                reason = f"in split {split!r}, which is none of {', '.join(records.SPLITS)}"
                yield Dropped(place, reason, len(example["text"]))
                continue
            # Ids often count anew in every split, so they make no groups.
            fields = {"group": place} | example | {"split": "" if is_divided and split == "train" else split}
            yield records.document(fields, place, language or builder.name, audit)


def _library(source: str) -> types.ModuleType:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ConfigError(
            f"the source {source!r} is a dataset of TFDS, and its package cannot be imported ({error}). Install it "
            "(TensorFlow is not needed): pip install tensorflow-datasets"
        ) from error
    return tensorflow_datasets


def _check_features(features, directory: epath.Path) -> None:
    listed = ", ".join(f"{name}: {feature!r}" for name, feature in sorted(features.items()))
    require(
        "text" in features and features["text"].shape == () and features["text"].np_dtype == np.object_,
        f"{directory} has no feature 'text' that is one string an example, only {listed}. Prepare the dataset under "
        "another name with its text as 'text', or write it as .parquet or .jsonl.",
    )


def _examples(builder, split: str, directory: epath.Path) -> Iterator[dict[str, object]]:
    try:
        examples = builder.as_data_source(split)
    except NotImplementedError as error:
        raise ConfigError(
            f"{directory} was prepared as {builder.info.file_format.value}, which only TensorFlow reads. Prepare it "
            "again with file_format='array_record'."
        ) from error
    for begin in range(0, len(examples), EXAMPLES):
        try:
            found = examples.__getitems__(range(begin, min(begin + EXAMPLES, len(examples))))
        except RuntimeError as error:  # how array_record reports a shard that is cut, altered or absent
            raise OSError(f"{directory} cannot be read to its end ({error}); copy or prepare it again.") from error
        yield from found
