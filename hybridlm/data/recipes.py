"""What rows depend on, as plain values: equal recipes give equal rows, and different ones can say how they differ."""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Sequence

from etils import epath

from hybridlm.config import logins, own_code
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import sources, tokenizer_files
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.data.vocabulary import Vocabulary


def of(config: DataConfig, seed: int) -> dict[str, object]:
    """What the rows depend on: the config with contents in place of paths, and without what only training reads."""
    fields = dataclasses.asdict(config) | {"seed": seed}
    del fields["prepared"], fields["sources"], fields["mixing"]
    if config.tokenizer not in ("train", "source"):
        fields |= {"tokenizer": tokenizer_files.load(config.tokenizer).sha256}
    if config.tokenizer != "train":
        fields |= {"vocab_size": None}
    if config.label_modules:
        fields |= {f"the file of {name}": digest for name, digest in own_code.digests(config.label_modules).items()}
    return fields | _digests(config.named_sources)


def for_evaluation(source: str, vocabulary: Vocabulary, row_length: int, audit: AuditConfig) -> dict[str, object]:
    """The same of documents that are only evaluated on, in a vocabulary made before."""
    rules = {"row_length": row_length, "audit": dataclasses.asdict(audit)}
    return rules | _identity(vocabulary) | _digests((Source(path=source),))


def _identity(vocabulary: Vocabulary) -> dict[str, object]:
    words_sha256 = hashlib.sha256("\n".join(vocabulary.word_ranks).encode()).hexdigest()
    return {"tokenizer": vocabulary.tokenizer.sha256, "words": words_sha256}


def _digests(named: Sequence[Source]) -> dict[str, object]:
    """What is said of every source, and its SHA-256 under its number: a corpus may move; None where it is gone."""
    logins.refuse(" ".join(source.path for source in named), "a source", "sources are kept in the manifest")
    said = [{**dataclasses.asdict(source), "path": None, "max_epochs": None} for source in named]
    found = {
        f"sources[{n}]": sources.digest(source.path) if sources.exists(source.path) else None
        for n, source in enumerate(named)
    }
    return {"sources": said} | found


def reopened(directory: epath.Path, recipe: dict[str, object]) -> Prepared:
    """What is there, if it was prepared by the same recipe; raises ConfigError with what differs."""
    prepared = open_prepared(directory)
    there, asked = prepared.manifest.recipe, json.loads(json.dumps(recipe))
    gone = [name for name, value in asked.items() if name.startswith("sources[") and value is None]
    if gone:
        warnings.warn(f"{', '.join(gone)} cannot be found, so {directory} is used without comparing them", stacklevel=3)
    differing = [name for name in there | asked if there.get(name) != asked.get(name) and name not in gone]
    changes = "; ".join(f"{name} is {there.get(name)!r} there and {asked.get(name)!r} here" for name in differing)
    require(
        not differing,
        f"{directory} was prepared from something else: {changes}. Name another directory (data.prepared of a "
        "config, --workdir of evaluate and inspect), remove this one to prepare it anew, or restore the former values.",
    )
    return prepared
