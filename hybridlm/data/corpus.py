"""Which documents of the sources are used and for what, found in a first pass; later passes read the sources again.

So a corpus of any size is prepared in little memory: a few names per document, and the text of a batch at a time.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.config.sources import FAIL, KEEP, AuditConfig, Source
from hybridlm.data import documents, duplicates, sources, splits
from hybridlm.data.audit import Duplicates, Overlap
from hybridlm.data.documents import Account, Document, Dropped, Entry
from hybridlm.data.progress import Progress, remark


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The chosen documents in the order of the sources, and what was found: those left out, copies, shared lines."""

    sources: tuple[Source, ...]
    audit: AuditConfig
    entries: tuple[Entry, ...]
    account: Account
    duplicates: Duplicates = dataclasses.field(default_factory=Duplicates)
    overlap: dict[str, Overlap] = dataclasses.field(default_factory=dict)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains there are, by name."""
        return tuple(sorted({entry.domain for entry in self.entries}))

    def bytes(self, *split: str) -> int:
        """UTF-8 length of the documents of the named splits, or of all."""
        return sum(entry.bytes for entry in self.within(*split))

    def within(self, *split: str) -> list[Entry]:
        """The documents of the named splits, or all."""
        return [entry for entry in self.entries if entry.split in split or not split]

    def documents(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Document]]:
        """Reads these documents, which ascend; raises ConfigError if the sources are no longer the same."""
        wanted = iter(entries)
        entry = next(wanted, None)
        for place, (_, found) in enumerate(_everything(self.sources, self.audit)):
            if entry is None:
                return
            if place == entry.place:
                _check_unchanged(entry, found)
                yield entry, found
                entry = next(wanted, None)
        if entry is not None:
            _check_unchanged(entry, None)

    def texts(self, *split: str, advance: Callable[[int], None]) -> Iterator[str]:
        """Their texts; `advance` is told the bytes as they pass."""
        for entry, document in self.documents(self.within(*split)):
            yield document.text
            advance(entry.bytes)


def survey(
    named: tuple[Source, ...], audit: AuditConfig, split_of: Callable[[Source, Document], str], progress: Progress
) -> Corpus:
    """Reads everything once; `split_of` places a document."""
    entries, account = [], {}
    with progress("reading the sources", None) as advance:
        for place, (source, found) in enumerate(_everything(named, audit)):
            if isinstance(found, Dropped):
                documents.count(account, found)
                continue
            split, digest = split_of(named[source], found), duplicates.digest(found.text)
            entries.append(Entry(place, source, found.id, found.group, found.domain, split, found.bytes, digest))
            advance(entries[-1].bytes)
    _check_groups(entries)
    return Corpus(named, audit, tuple(entries), account)


def survey_for_training(config: DataConfig, progress: Progress) -> Corpus:
    """The documents a config asks for, split by group, with something in every split that is needed."""

    def split_of(source: Source, document: Document) -> str:
        validation, test = config.held_out(source)
        return document.split or splits.split_of(document.group, validation=validation, test=test)

    corpus = survey(config.named_sources, config.audit, split_of, progress)
    reasons = ", ".join(f"{drop.documents} {reason}" for reason, drop in corpus.account.items())
    named = ", ".join(source.path for source in config.named_sources)
    require(
        len(corpus.entries) > 0,
        f"data.sources={named} hold no document to train on (left out: {reasons or 'none'}); name text, or lift "
        "what data.audit leaves out.",
    )
    corpus = without_duplicates(only_domains(corpus, config.domains), config.audit.duplicate)
    remark(progress, corpus.duplicates.line)
    corpus = within_limit(corpus, config.limit_bytes)
    splits.check_splits(
        (entry.split for entry in corpus.entries),
        (entry.group for entry in corpus.entries),
        validation=config.validation,
        test=config.test,
    )
    _check_sources(corpus, config)
    return corpus


def only_domains(corpus: Corpus, domains: tuple[str, ...]) -> Corpus:
    """The documents of the named domains, or of all if none is named."""
    for name in domains:
        hint = nearest(name, corpus.domains)
        require(name in corpus.domains, f"data.domains names {name!r}, which no document has{hint}")
    kept = {entry for entry in corpus.entries if not domains or entry.domain in domains}
    return keep_only(corpus, kept, "not one of data.domains")


def without_duplicates(corpus: Corpus, policy: str) -> Corpus:
    """Counts the exact duplicates and leaves them out, or keeps them, or raises ConfigError, as `policy` says."""
    found = duplicates.pairs(corpus.entries)
    corpus = dataclasses.replace(corpus, duplicates=duplicates.counted(found))
    if policy == KEEP:
        return corpus
    if policy == FAIL:
        duplicates.refuse(found)
    kept = set(corpus.entries) - {copy for copy, _ in found}
    duplicates.check_splits(corpus.entries, kept)
    return keep_only(corpus, kept, duplicates.REASON)


def within_limit(corpus: Corpus, limit_bytes: int) -> Corpus:
    """Per domain, as many whole training documents as fit into the limit, groups in the order of their hash."""
    if not limit_bytes:
        return corpus
    used, kept = dict.fromkeys(corpus.domains, 0), set()
    for entry in sorted(corpus.entries, key=lambda entry: (splits.share(entry.group), entry.place)):
        if entry.split == "train":
            if used[entry.domain] + entry.bytes > limit_bytes:
                continue
            used[entry.domain] += entry.bytes
        kept.add(entry)
    return keep_only(corpus, kept, "beyond data.limit_bytes")


def keep_only(corpus: Corpus, kept: set[Entry], reason: str) -> Corpus:
    """Those documents, with the others in the account of drops."""
    account = dict(corpus.account)
    for entry in corpus.entries:
        if entry not in kept:
            documents.count(account, Dropped(entry.id, reason, entry.bytes))
    entries = tuple(entry for entry in corpus.entries if entry in kept)
    return dataclasses.replace(corpus, entries=entries, account=account)


def _everything(named: Sequence[Source], audit: AuditConfig) -> Iterator[tuple[int, Document | Dropped]]:
    """Everything the sources yield, with the number of its source."""
    for number, source in enumerate(named):
        for found in sources.read(source, audit):
            yield number, found


def _check_sources(corpus: Corpus, config: DataConfig) -> None:
    filled = {entry.source for entry in corpus.within("train")}
    for number, source in enumerate(corpus.sources):
        shares = [mixing.shares[source.called] for mixing in config.mixing]
        require(
            number in filled or not any(shares),
            f"the source {source.called!r} has no training text, and data.mixing gives it a share of "
            f"{max(shares, default=0)}. Give it text, a smaller validation and test, or a share of 0.",
        )


def _check_groups(entries: Iterable[Entry]) -> None:
    split_of_group = {}
    for entry in entries:
        known = split_of_group.setdefault(entry.group, entry.split)
        require(
            known == entry.split,
            f"group {entry.group!r} has documents in {known} and in {entry.split} (document {entry.id!r}); a group "
            "stays together, or its neighbours leak into the held-out text. Correct the column 'split' or 'group'.",
        )


def _check_unchanged(entry: Entry, found: Document | Dropped | None) -> None:
    if found is None or (found.id, found.bytes) != (entry.id, entry.bytes):
        raise ConfigError(
            f"the sources changed while they were read: document {entry.id!r} is no longer where it was. Leave the "
            "files alone while data is prepared, and run it again."
        )
