"""The whole way from text to rows on disk: survey, tokenizer, words, audit, tokens, packed rows, manifest."""

import dataclasses

import numpy as np
from etils import epath

from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import corpus_file, overlap, recipes, sources, tokenizer_files, tokenizer_json, words, workers
from hybridlm.data import manifest as manifests
from hybridlm.data import progress as progresses
from hybridlm.data.corpus import Corpus, survey, survey_for_training
from hybridlm.data.directories import WORK, is_local, once, published, whole
from hybridlm.data.encoding import Chunks, join
from hybridlm.data.manifest import Manifest
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.data.progress import Progress
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import Vocabulary, load_vocabulary, save_vocabulary
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
        corpus, vocabulary = _beginning(config, partial / WORK, progress)
        with published(partial, directory, manifests.FILE_NAME):
            _build(corpus, vocabulary, config.named_sources, config.row_length, seed, recipe, partial, progress)
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
        corpus, vocabulary = _beginning(config, partial / WORK, progress)
        _encode(corpus, vocabulary, partial / WORK, part, parts, progress)


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
        corpus = survey((at_hand,), audit, lambda source, document: EVALUATION, progress)
        reasons = ", ".join(f"{drop.documents} {reason}" for reason, drop in corpus.account.items())
        require(len(corpus.entries) > 0, f"{source} holds no document to evaluate on (left out: {reasons or 'none'}).")
        _keep(corpus, vocabulary, partial / WORK)
        with published(partial, directory, manifests.FILE_NAME):
            _build(corpus, vocabulary, (named,), row_length, None, recipe, partial, progress)
    return open_prepared(directory)


def _beginning(config: DataConfig, work: epath.Path, progress: Progress) -> tuple[Corpus, Vocabulary]:
    """The chosen documents and the vocabulary, found now or by an earlier call; all later work begins from them."""
    if not (work / workers.VOCABULARY).exists():
        found = (
            sources.at_hand(source, work / f"source-{n}", progress) for n, source in enumerate(config.named_sources)
        )
        config = dataclasses.replace(config, sources=tuple(found))
        tokenizer = _given_tokenizer(config)
        corpus = overlap.audited(survey_for_training(config, progress), progress)
        tokenizer = tokenizer or _trained(config, corpus, progress)
        with progress("ranking words", corpus.bytes("train")) as advance:
            ranks = words.rank(corpus.texts("train", advance=advance))
        _keep(corpus, Vocabulary(tokenizer, np.zeros(tokenizer.vocab_size, np.int64), ranks, corpus.domains), work)
    return corpus_file.load(work / workers.CORPUS), load_vocabulary(work / workers.VOCABULARY)


def _keep(corpus: Corpus, vocabulary: Vocabulary, work: epath.Path) -> None:
    once(work / workers.CORPUS, lambda path: corpus_file.save(corpus, path))
    once(work / workers.VOCABULARY, lambda path: save_vocabulary(vocabulary, path))


def _encode(
    corpus: Corpus, vocabulary: Vocabulary, work: epath.Path, part: int, parts: int, progress: Progress
) -> Chunks:
    chunks = Chunks(corpus, work / workers.CHUNKS)
    with progress("encoding", chunks.bytes(chunks.missing(part, parts))) as advance:
        workers.encode(chunks, vocabulary, work, part, parts, advance)
    return chunks


def _build(
    corpus: Corpus,
    vocabulary: Vocabulary,
    named: tuple[Source, ...],
    row_length: int,
    seed: int | None,
    recipe: dict[str, object],
    directory: epath.Path,
    progress: Progress,
) -> None:
    """Encodes, packs and writes every split, then the vocabulary, then the manifest; `named`: the sources as asked."""
    tokenizer, work = vocabulary.tokenizer, directory / WORK
    encoded = join(_encode(corpus, vocabulary, work, 0, 1, progress), work / "tokens")
    domains = (*vocabulary.domains, *(name for name in corpus.domains if name not in vocabulary.domains))
    writer = RowWriter(encoded, named, tokenizer, domains, row_length, directory)
    written = {
        split: writer.write(split, seed=seed, progress=progress)
        for split in sorted({entry.split for entry in encoded.entries})
    }
    _, counts_V = written.get("train", (None, vocabulary.counts_V))
    files = save_vocabulary(dataclasses.replace(vocabulary, counts_V=counts_V, domains=domains), directory)
    manifest = Manifest(
        row_length=row_length,
        columns=writer.columns,
        domains=domains,
        splits={split: record for split, (record, _) in written.items()},
        drops=encoded.account,
        sources=named,
        recipe=recipe,
        tokenizer_sha256=tokenizer.sha256,
        files=files,
        duplicates=corpus.duplicates,
        overlap=corpus.overlap,
    )
    manifests.save(manifest, directory)


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


def _trained(config: DataConfig, corpus: Corpus, progress: Progress) -> Tokenizer:
    with progress("training the tokenizer", corpus.bytes("train")) as advance:
        return tokenizer_json.train(corpus.texts("train", advance=advance), config.vocab_size)
