"""The whole way from text to rows on disk: survey, audit, tokenizer, words, tokens, labels, packed rows, manifest."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from etils import epath

from hybridlm.categories import lexicon, registry
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import documents, overlap, recipes, sources, tokenizer_files, tokenizer_json, workers
from hybridlm.data import manifest as manifests
from hybridlm.data import progress as progresses
from hybridlm.data.corpus import Corpus, survey, survey_for_training
from hybridlm.data.directories import WORK, is_local, published, whole
from hybridlm.data.encoding import Chunks, join
from hybridlm.data.manifest import Manifest
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.data.progress import Progress
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import Vocabulary, save_vocabulary
from hybridlm.data.writing import RowWriter

EVALUATION = "evaluation"
"""The one split of documents prepared for evaluation alone."""

DEFAULT_AUDIT = AuditConfig()


def prepare(
    config: DataConfig,
    directory: epath.PathLike,
    *,
    seed: int = 0,
    progress: Progress = progresses.show,
) -> Prepared:
    """Prepares the rows a config asks for, or opens them if they are there.

    Raises ConfigError if the directory was prepared from something else, and says what differs; OSError if the disk is
    full. The directory is whole or absent; after a kill, the same call goes on where the last one was.
    """
    directory = epath.Path(directory)
    recipe = recipes.of(config, seed)
    if (directory / manifests.FILE_NAME).exists():
        return recipes.reopened(directory, recipe)
    with whole(directory, last=manifests.FILE_NAME, recipe=recipe) as partial:
        _begin(config, partial / WORK, progress)
        with published(partial, directory, manifests.FILE_NAME):
            _build(config.named_sources, config.row_length, seed, recipe, partial, progress)
    return open_prepared(directory)


def prepare_part(
    config: DataConfig,
    directory: epath.PathLike,
    part: int,
    parts: int,
    *,
    seed: int = 0,
    progress: Progress = progresses.show,
) -> None:
    """Encodes part 0 to parts - 1 of the text, for a later `prepare` of the same directory to find done.

    Parts may run at the same time on several machines that share the directory's file system.
    """
    directory = epath.Path(directory)
    require(0 <= part < parts, f"part {part} of {parts} does not exist; parts are numbered from 0 to {parts - 1}.")
    require(
        is_local(directory),
        f"{directory} is not in a file system, and parts meet in files; prepare in one process, or in a shared folder.",
    )
    if (directory / manifests.FILE_NAME).exists():
        return
    with whole(directory, last=manifests.FILE_NAME, recipe=recipes.of(config, seed)) as partial:
        _begin(config, partial / WORK, progress)
        _encode(partial / WORK, part, parts, progress)


def prepare_for_evaluation(
    source: str,
    vocabulary: Vocabulary,
    row_length: int,
    directory: epath.PathLike,
    *,
    audit: AuditConfig = DEFAULT_AUDIT,
    progress: Progress = progresses.show,
) -> Prepared:
    """Rows of a user's own documents, in their order, as the split "evaluation", in a vocabulary made before.

    Domains the vocabulary does not know follow those it knows.
    """
    directory = epath.Path(directory)
    recipe = recipes.for_evaluation(source, vocabulary, row_length, audit)
    if (directory / manifests.FILE_NAME).exists():
        return recipes.reopened(directory, recipe)
    with whole(directory, last=manifests.FILE_NAME, recipe=recipe) as partial:
        named = Source(path=source)
        at_hand = sources.at_hand(named, partial / WORK / "source-0", progress)
        _check_came(sources.tokenizer(at_hand.path), vocabulary.tokenizer, source)
        corpus = survey((at_hand,), audit, lambda source, document: EVALUATION, progress)
        reasons = ", ".join(f"{drop.documents} {reason}" for reason, drop in corpus.account.items())
        require(len(corpus.entries) > 0, f"{source} holds no document to evaluate on (left out: {reasons or 'none'}).")
        workers.leave(partial / WORK, corpus, vocabulary, (), ())
        with published(partial, directory, manifests.FILE_NAME):
            _build((named,), row_length, None, recipe, partial, progress)
    return open_prepared(directory)


def check_text(source: str, tokenizer: Tokenizer) -> None:
    """Raises ConfigError unless a text is there and may be read in this vocabulary; makes nothing."""
    sources.check(source)
    _check_came(sources.tokenizer(source), tokenizer, source)


def _begin(config: DataConfig, work: epath.Path, progress: Progress) -> None:
    """Finds the chosen documents and the vocabulary, from which all later work begins, unless an earlier call did."""
    if (work / workers.VOCABULARY).exists():
        return
    registry.load(config.label_modules)  # families that cannot be are refused before any text is read
    registry.check_named(config.labels)
    found = (sources.at_hand(source, work / f"source-{n}", progress) for n, source in enumerate(config.named_sources))
    config = dataclasses.replace(config, sources=tuple(found), mixing=())
    tokenizer = _given_tokenizer(config)
    corpus = overlap.audited(survey_for_training(config, progress), progress)
    tokenizer = tokenizer or _trained(config, corpus, progress)
    counts = _word_counts(corpus, progress)
    ranks, terms = lexicon.rank(counts), lexicon.domain_terms(counts)
    vocabulary = Vocabulary(tokenizer, np.zeros(tokenizer.vocab_size, np.int64), ranks, terms, corpus.domains)
    workers.leave(work, corpus, vocabulary, config.labels, config.label_modules)


def _word_counts(corpus: Corpus, progress: Progress) -> dict[str, collections.Counter]:
    """How often every word stands in the training text of every domain."""
    counts = collections.defaultdict(collections.Counter)
    with progress("counting words", corpus.bytes("train")) as advance:
        for entry, document in corpus.documents(corpus.within("train")):
            counts[entry.domain].update(lexicon.count([document.text]))
            advance(entry.bytes)
    return counts


Found = tuple[Corpus, Vocabulary, tuple[Chunks, ...]]
"""The chosen documents, the vocabulary, and the chunks of both sides."""


def _encode(work: epath.Path, part: int, parts: int, progress: Progress) -> Found:
    """Makes what is missing of a part of all chunks."""
    corpus, vocabulary, found = workers.find(work)
    for chunks in found:
        title = {"train": "encoding", "held_out": "encoding and labelling held-out text"}[chunks.side.name]
        with progress(title, chunks.bytes(chunks.missing(part, parts))) as advance:
            workers.encode(chunks, vocabulary, work, part, parts, advance)
    return corpus, vocabulary, found


def _build(
    named: tuple[Source, ...],
    row_length: int,
    seed: int | None,
    recipe: dict[str, object],
    directory: epath.Path,
    progress: Progress,
) -> None:
    """Encodes, packs and writes every split, then the vocabulary, then the manifest; `named`: the sources as asked."""
    work = directory / WORK
    corpus, vocabulary, found = _encode(work, 0, 1, progress)
    encoded = [join(chunks, work / f"tokens-{chunks.side.name}") for chunks in found]
    domains = (*vocabulary.domains, *(name for name in corpus.domains if name not in vocabulary.domains))
    written = {}
    for part in encoded:
        writer = RowWriter(part, corpus, named, vocabulary.tokenizer, domains, row_length, directory)
        for split in sorted({entry.split for entry in part.entries}):
            written[split] = writer.write(split, seed=seed, progress=progress)
    _, counts_V = written.get("train", (None, vocabulary.counts_V))
    files = save_vocabulary(dataclasses.replace(vocabulary, counts_V=counts_V, domains=domains), directory)
    manifest = Manifest(
        row_length=row_length,
        domains=domains,
        splits={split: written[split][0] for split in sorted(written)},
        labels=_descriptions(found),
        drops=documents.merged(corpus.account, *(part.account for part in encoded)),
        sources=named,
        recipe=recipe,
        tokenizer_sha256=vocabulary.tokenizer.sha256,
        files=files,
        duplicates=corpus.duplicates,
        overlap=corpus.overlap,
    )
    manifests.save(manifest, directory)


def _descriptions(found: Sequence[Chunks]) -> dict[str, dict]:
    """Name -> question and labels of every family that has a column."""
    named = {family.name: family for chunks in found for family in chunks.side.families}
    return {name: {"question": known.question, "labels": dict(known.labels)} for name, known in named.items()}


def _given_tokenizer(config: DataConfig) -> Tokenizer | None:
    """The tokenizer that is not to be trained here, the one that all tokens came with."""
    came = {source.called: sources.tokenizer(source.path) for source in config.named_sources}
    came = {name: tokenizer for name, tokenizer in came.items() if tokenizer}
    hashes = {tokenizer.sha256 for tokenizer in came.values()}
    require(
        len(hashes) < 2,
        f"data.sources: {', '.join(came)} came as tokens of different tokenizers, and a model has one vocabulary. "
        "Prepare them as different data, or give them as text.",
    )
    if config.tokenizer == "source":
        require(bool(came), "data.tokenizer='source', but no source came as tokens; name a file, or 'train'.")
        return next(iter(came.values()))
    given = None if config.tokenizer == "train" else tokenizer_files.load(config.tokenizer)
    require(
        not came or (given is not None and given.sha256 in hashes),
        f"data.sources: {', '.join(came)} came as tokens, and data.tokenizer={config.tokenizer!r} is not the tokenizer "
        "that wrote them, so their ids would be read as other words. Set data.tokenizer='source'.",
    )
    return given


def _check_came(came: Tokenizer | None, read: Tokenizer, source: str) -> None:
    require(
        came is None or came.sha256 == read.sha256,
        f"{source} came as tokens of another tokenizer than the model's, which would read its ids as other words; give "
        "the text itself.",
    )


def _trained(config: DataConfig, corpus: Corpus, progress: Progress) -> Tokenizer:
    with progress("training the tokenizer", corpus.bytes("train")) as advance:
        return tokenizer_json.train(corpus.texts("train", advance=advance), config.vocab_size)
