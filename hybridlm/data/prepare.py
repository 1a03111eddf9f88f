"""The whole way from text to rows on disk: survey, tokenizer, words, audit, tokens, packed rows, manifest."""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Sequence

import numpy as np
from etils import epath

from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.data import manifest as manifests
from hybridlm.data import overlap, sources, tokenizer_files, tokenizer_json, words
from hybridlm.data import progress as progresses
from hybridlm.data.corpus import Corpus, survey, survey_for_training
from hybridlm.data.directories import whole
from hybridlm.data.encoding import encode
from hybridlm.data.manifest import Manifest
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.data.progress import Progress
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import Vocabulary, save_vocabulary
from hybridlm.data.writing import RowWriter

EVALUATION = "evaluation"
"""The one split of documents prepared for evaluation alone."""


def prepare(
    config: DataConfig, directory: epath.PathLike, *, seed: int = 0, progress: Progress = progresses.show
) -> Prepared:
    """Prepares the rows a config asks for, or opens them if they are there.

    Raises ConfigError if the directory was prepared from something else, and says what differs; OSError if the disk is
    full. The directory is whole or absent, even after a kill. One process prepares; others wait and open.
    """
    directory = epath.Path(directory)
    recipe = _recipe(config, seed)
    if (directory / manifests.FILE_NAME).exists():
        return _reopened(directory, recipe)
    with whole(directory, last=manifests.FILE_NAME) as partial:
        corpus = survey_for_training(config, progress)
        tokenizer = _tokenizer(config, corpus, progress)
        with progress("ranking words", corpus.bytes("train")) as advance:
            ranks = words.rank(corpus.texts("train", advance=advance))
        vocabulary = Vocabulary(tokenizer, np.zeros(tokenizer.vocab_size, np.int64), ranks, corpus.domains)
        _build(corpus, vocabulary, config.row_length, seed, recipe, partial, progress)
    return open_prepared(directory)


def prepare_for_evaluation(
    source: str,
    vocabulary: Vocabulary,
    row_length: int,
    directory: epath.PathLike,
    *,
    on_bad_text: str = "drop",
    progress: Progress = progresses.show,
) -> Prepared:
    """Rows of a user's own documents, in their order, as the split "evaluation", in a vocabulary made before.

    Domains the vocabulary does not know follow those it knows.
    """
    directory = epath.Path(directory)
    recipe = {"row_length": row_length, "on_bad_text": on_bad_text, **_identity(vocabulary), **_digests((source,))}
    if (directory / manifests.FILE_NAME).exists():
        return _reopened(directory, recipe)
    with whole(directory, last=manifests.FILE_NAME) as partial:
        corpus = survey((source,), on_bad_text, lambda document: EVALUATION, progress)
        reasons = ", ".join(f"{drop.documents} {reason}" for reason, drop in corpus.account.items())
        require(len(corpus.entries) > 0, f"{source} holds no document to evaluate on (left out: {reasons or 'none'}).")
        _build(corpus, vocabulary, row_length, None, recipe, partial, progress)
    return open_prepared(directory)


def _build(
    corpus: Corpus,
    vocabulary: Vocabulary,
    row_length: int,
    seed: int | None,
    recipe: dict[str, object],
    directory: epath.Path,
    progress: Progress,
) -> None:
    """Audits the corpus; encodes, packs and writes every split, then the vocabulary, then the manifest."""
    overlaps = overlap.measure(corpus, progress)
    tokenizer, spool = vocabulary.tokenizer, directory / "tokens"
    encoded = encode(corpus, tokenizer, vocabulary.word_ranks, spool, progress)
    domains = (*vocabulary.domains, *(name for name in corpus.domains if name not in vocabulary.domains))
    writer = RowWriter(encoded, tokenizer, domains, row_length, directory)
    written = {
        split: writer.write(split, seed=seed, progress=progress)
        for split in sorted({entry.split for entry in encoded.entries})
    }
    spool.rmtree()
    _, counts_V = written.get("train", (None, vocabulary.counts_V))
    files = save_vocabulary(dataclasses.replace(vocabulary, counts_V=counts_V, domains=domains), directory)
    manifest = Manifest(
        row_length=row_length,
        columns=writer.columns,
        domains=domains,
        splits={split: record for split, (record, _) in written.items()},
        drops=encoded.account,
        sources=corpus.sources,
        recipe=recipe,
        tokenizer_sha256=tokenizer.sha256,
        files=files,
        duplicates=corpus.duplicates,
        overlap=overlaps,
    )
    manifests.save(manifest, directory)


def _tokenizer(config: DataConfig, corpus: Corpus, progress: Progress) -> Tokenizer:
    if config.tokenizer != "train":
        return tokenizer_files.load(config.tokenizer)
    with progress("training the tokenizer", corpus.bytes("train")) as advance:
        return tokenizer_json.train(corpus.texts("train", advance=advance), config.vocab_size)


def _recipe(config: DataConfig, seed: int) -> dict[str, object]:
    """What the rows depend on: the config with contents in place of paths."""
    fields = dataclasses.asdict(config) | {"seed": seed}
    del fields["prepared"], fields["sources"]
    if config.tokenizer != "train":
        fields |= {"tokenizer": tokenizer_files.load(config.tokenizer).sha256, "vocab_size": None}
    return fields | _digests(config.sources)


def _identity(vocabulary: Vocabulary) -> dict[str, object]:
    words_sha256 = hashlib.sha256("\n".join(vocabulary.word_ranks).encode()).hexdigest()
    return {"tokenizer": vocabulary.tokenizer.sha256, "words": words_sha256}


def _digests(names: Sequence[str]) -> dict[str, object]:
    """SHA-256 of every source under its number: a corpus may move; None where it is gone."""
    return {f"sources[{n}]": sources.digest(name) if sources.exists(name) else None for n, name in enumerate(names)}


def _reopened(directory: epath.Path, recipe: dict[str, object]) -> Prepared:
    prepared = open_prepared(directory)
    there, asked = prepared.manifest.recipe, json.loads(json.dumps(recipe))
    gone = [name for name, value in asked.items() if name.startswith("sources[") and value is None]
    if gone:
        warnings.warn(f"{', '.join(gone)} cannot be found, so {directory} is used without comparing them", stacklevel=3)
    differing = [name for name in there | asked if there.get(name) != asked.get(name) and name not in gone]
    changes = "; ".join(f"{name} is {there.get(name)!r} there and {asked.get(name)!r} here" for name in differing)
    require(
        not differing,
        f"{directory} was prepared from something else: {changes}. Name another directory as data.prepared, remove "
        "this one to prepare it anew, or restore the former values.",
    )
    return prepared
