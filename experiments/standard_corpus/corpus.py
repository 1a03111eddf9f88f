"""One domain after the other: its archives, their texts, its documents, its files."""

import collections
import hashlib
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from etils import epath

from experiments.standard_corpus import archives, clients, lock, write
from experiments.standard_corpus.draw import drawn
from experiments.standard_corpus.fetch import fetch
from experiments.standard_corpus.lock import Pin
from experiments.standard_corpus.overlap import Kept, without_memory
from experiments.standard_corpus.packages import SOURCES
from experiments.standard_corpus.source import Source
from experiments.standard_corpus.texts import Document, File
from hybridlm.data.progress import Progress, remark, show

Fetched = Mapping[str, tuple[pathlib.Path, Pin]]


def build(
    output: epath.Path,
    domains: Iterable[str],
    names: Collection[str],
    cache: pathlib.Path,
    *,
    allow_moved: bool = False,
    progress: Progress = show,
) -> None:
    """Writes the domains, each from those of its sources that are named; a finished one is left as it is."""
    by_domain = {domain: [s for s in SOURCES if s.domain == domain and s.name in names] for domain in domains}
    packages = sorted({package for sources in by_domain.values() for source in sources for package in source.packages})
    clients.check(packages)
    output.mkdir(parents=True, exist_ok=True)
    fetched = fetch(packages, lock.read(), cache, allow_moved=allow_moved, progress=progress)
    write.merged(output / write.ARCHIVES, lock.as_json({package: pin for package, (_, pin) in fetched.items()}))
    for domain, sources in by_domain.items():
        if sources:
            _build_domain(output, domain, sources, fetched, progress)


def _build_domain(
    output: epath.Path, domain: str, sources: Sequence[Source], fetched: Fetched, progress: Progress
) -> None:
    path, mark = output / f"{domain}.jsonl.zst", _fingerprint(sources, fetched)
    if path.exists() and write.read(output / write.STATS).get(domain, {}).get("fingerprint") == mark:
        remark(progress, f"{domain} is finished")
        return
    kept = without_memory([document for source in sources for document in _documents(source, fetched, progress)])
    sha256 = write.documents(path, kept.documents)
    write.merged(output / write.SOURCES, {source.name: _origin(source, fetched) for source in sources})
    write.merged(output / write.STATS, {domain: _counts(kept) | {"sha256": sha256, "fingerprint": mark}})


def _documents(source: Source, fetched: Fetched, progress: Progress) -> list[Document]:
    paths = [fetched[package][0] for package in source.packages]
    smallest, largest = source.sizes
    files = sorted(
        file
        for path in paths
        for file in archives.files(path, source.files)
        if smallest <= len(file.content) <= largest
    )
    with progress(f"reading {source.name}", sum(len(file.content) for file in files)) as advance:
        return list(drawn(source, source.read(_passed(files, advance))))


def _passed(files: Sequence[File], advance: Callable[[int], None]) -> Iterator[File]:
    for file in files:
        yield file
        advance(len(file.content))


def _fingerprint(sources: Sequence[Source], fetched: Fetched) -> str:
    """Of all that a domain's file depends on: this recipe, its sources and their archives."""
    state = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.rglob("*.py")):
        state.update(path.read_bytes())
    for source in sources:
        state.update(" ".join([source.name, *(fetched[package][1].sha256 for package in source.packages)]).encode())
    return state.hexdigest()


def _origin(source: Source, fetched: Fetched) -> dict:
    versions = {package: fetched[package][1].version for package in source.packages}
    return {"domain": source.domain, "licence": source.licence, "packages": versions}


def _counts(kept: Kept) -> dict:
    documents, sizes = collections.Counter(dropped=kept.dropped), collections.Counter()
    for document in kept.documents:
        documents[document.split] += 1
        sizes[document.split] += len(document.text.encode())
    overlap = round(kept.seen / max(1, kept.lines), 4)
    return {"documents": documents, "bytes": sizes, "held_out_line_overlap": overlap}
