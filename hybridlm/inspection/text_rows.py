"""Text as rows to look at: all of it or a sample, in the vocabulary of a run or in one made for the occasion."""

import collections
import dataclasses
import itertools
import json
import math
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from etils import epath

from hybridlm.categories import lexicon
from hybridlm.config.errors import require
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import duplicates, sources, splits, tokenizer_json
from hybridlm.data.corpus import Corpus, survey
from hybridlm.data.documents import Document, Entry
from hybridlm.data.prepare import EVALUATION, prepare_for_evaluation
from hybridlm.data.prepared import Prepared
from hybridlm.data.progress import Progress
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import Vocabulary
from hybridlm.inspection.text import Look
from hybridlm.inspection.text_counts import count_documents

MEGABYTE, KILOBYTE = 1e6, 1e3
VOCAB_SIZE, LEARNT_FROM = 16_384, 4 * MEGABYTE
"""Of a tokenizer trained here: its size, and how much text it is trained on."""

ROW_LENGTH = 512
"""Of rows that no run has a length for."""

TEXT, SAMPLE = "text", "sample"
"""How a page calls the whole, and rows that are not the whole."""


def rows_of_text(
    path: str, vocabulary: Vocabulary | None, row_length: int, megabytes: float, where: epath.Path, progress: Progress
) -> Look:
    """Labelled rows in `where` of about `megabytes` of the text, 0 for all, and the ids of all of it.

    A sample is made of whole groups in the order of their hash, so it is the same every time, and any larger one
    includes it. Tokens are counted as they came; those of a sample are made anew from its text.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = sources.at_hand(Source(path=path), epath.Path(scratch) / "seqio", progress)
        corpus, came = _everything(source, progress), sources.tokenizer(source.path)
        _check_tokenizer(path, came, vocabulary)
        chosen, domains = _part(corpus, megabytes * MEGABYTE), _domains(corpus, vocabulary)
        made = dataclasses.replace(vocabulary or _vocabulary(corpus, came, progress), domains=domains)
        cells, name = (), TEXT
        if len(chosen.entries) < len(corpus.entries):
            written = epath.Path(scratch) / "sample.jsonl"
            with progress("counting ids", corpus.bytes()) as advance:
                passing = _writing(corpus, chosen, written)
                cells, name = count_documents(passing, TEXT, path, domains, made.tokenizer, advance), SAMPLE
            source = Source(path=str(written))
        prepared = prepare_for_evaluation(source.path, made, row_length, where, progress=progress)
    findings = (_copies(corpus), _how_much(corpus, chosen), _whose(vocabulary, came, corpus))
    return Look(_called(prepared, path, name), corpus.account | prepared.manifest.drops, findings, cells)


def _copies(corpus: Corpus) -> str:
    """How many documents repeat others, which nothing here leaves out."""
    if not corpus.duplicates.documents:
        return corpus.duplicates.line
    return (
        f"{corpus.duplicates.line}; counted, and still in every number here. `hybridlm prepare` leaves them out "
        "unless data.audit.duplicate='keep'"
    )


def _domains(corpus: Corpus, vocabulary: Vocabulary | None) -> tuple[str, ...]:
    """Those the vocabulary knows, and then those that only the text has."""
    return tuple(dict.fromkeys((*(vocabulary.domains if vocabulary else ()), *corpus.domains)))


def _everything(source: Source, progress: Progress) -> Corpus:
    corpus = survey((source,), AuditConfig(), lambda source, document: EVALUATION, progress)
    reasons = ", ".join(f"{drop.documents} {reason}" for reason, drop in corpus.account.items())
    require(
        len(corpus.entries) > 0, f"{source.called} holds no document to look at (left out: {reasons or 'nothing'})."
    )
    return dataclasses.replace(corpus, duplicates=duplicates.counted(duplicates.pairs(corpus.entries)))


def _check_tokenizer(path: str, came: Tokenizer | None, vocabulary: Vocabulary | None) -> None:
    require(
        came is None or vocabulary is None or came.sha256 == vocabulary.tokenizer.sha256,
        f"--data={path} came as tokens of another tokenizer than that of the run of --model, which would read their "
        "ids as other words; inspect them one at a time, or give the text itself as --data.",
    )


def _part(corpus: Corpus, limit: float, *, is_last: bool = False) -> Corpus:
    """About so many bytes of it, 0 is no limit, from the one end or the other of the order of groups."""
    return dataclasses.replace(corpus, entries=tuple(sorted(first(corpus.entries, limit or math.inf, is_last=is_last))))


def first(entries: Sequence[Entry], limit: float, *, is_last: bool = False) -> list[Entry]:
    """Documents, groups together and in the order of their hash, until they hold `limit` bytes; at least one."""
    ordered = sorted(entries, key=lambda entry: (splits.share(entry.group), entry.place), reverse=is_last)
    before = itertools.accumulate((entry.bytes for entry in ordered), initial=0)
    return [entry for entry, size in zip(ordered, before) if size < limit]


def _learnt_from(corpus: Corpus) -> Corpus:
    """What a vocabulary is made from: not the sample, whose tokens would be longer than those of the other text."""
    return _part(corpus, LEARNT_FROM, is_last=True)


def _vocabulary(corpus: Corpus, came: Tokenizer | None, progress: Progress) -> Vocabulary:
    """The tokenizer that came with the text or is trained on it, and what its words tell; ids are not counted."""
    known, texts = _learnt_from(corpus), collections.defaultdict(list)
    with progress("learning words and tokens", known.bytes()) as advance:
        for entry, document in known.documents(known.entries):
            texts[entry.domain].append(document.text)
            advance(entry.bytes)
        tokenizer = came or tokenizer_json.train(itertools.chain.from_iterable(texts.values()), VOCAB_SIZE)
        counts = {domain: lexicon.count(found) for domain, found in texts.items()}
    unseen_V = np.zeros(tokenizer.vocab_size, np.int64)
    return Vocabulary(tokenizer, unseen_V, lexicon.rank(counts), lexicon.domain_terms(counts), ())


def _writing(corpus: Corpus, chosen: Corpus, path: epath.Path) -> Iterator[tuple[Entry, Document]]:
    """All documents, those chosen written down as JSON lines while they pass."""
    places = {entry.place for entry in chosen.entries}
    with path.open("w") as stream:
        for entry, document in corpus.documents(corpus.entries):
            if entry.place in places:
                fields = {"id": entry.id, "group": entry.group, "domain": entry.domain, "text": document.text}
                stream.write(json.dumps(fields) + "\n")
            yield entry, document


def _called(prepared: Prepared, source: str, split: str) -> Prepared:
    """Rows made for evaluation as rows of this split and of this source, wherever they were read from."""
    found = prepared.manifest.splits[EVALUATION]
    portions = tuple(dataclasses.replace(portion, source=source) for portion in found.portions)
    splits = {split: dataclasses.replace(found, portions=portions)}
    manifest = dataclasses.replace(prepared.manifest, splits=splits, sources=(Source(path=source),))
    return dataclasses.replace(prepared, manifest=manifest)


def _how_much(corpus: Corpus, chosen: Corpus) -> str:
    size, whole = _size(chosen.bytes()), _size(corpus.bytes())
    if len(chosen.entries) == len(corpus.entries):
        return f"all {whole} were counted and labelled"
    return (
        f"ids were counted in all {whole}; labels that depend on the text around a token, and gains, are those "
        f"of a sample of {size}, groups in the order of their hash (--megabytes=0 labels all)"
    )


def _whose(vocabulary: Vocabulary | None, came: Tokenizer | None, corpus: Corpus) -> str:
    size = _size(_learnt_from(corpus).bytes())
    if vocabulary:
        return "tokens, ranks of words and frequencies of ids are those of the run of --model"
    if came:
        return f"the tokens are those that the text came as; words are ranked on {size} of it"
    return (
        f"no tokenizer was given: this byte-level BPE was trained on {size} of the text, which also rank its "
        "words; with --model the text is read in the vocabulary of a run"
    )


def _size(count: int) -> str:
    """Bytes in the unit of which there are some."""
    for unit, size in {"MB": MEGABYTE, "KB": KILOBYTE}.items():
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
