"""What headers and texts alone can refuse, before a row of a large file is read: kinds, texts, families and filters."""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np
from etils import epath

from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.reports import token_reader
from hybridlm.reports.comparing.aligned import Aligned
from hybridlm.reports.comparing.paths import Place
from hybridlm.reports.comparing.rows import Settings
from hybridlm.reports.comparing.sums import select, with_filtered
from hybridlm.reports.scores import KINDS
from hybridlm.reports.token_file import Header

SHORT = 8
"""Characters of a hash that are shown."""


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A reading of a file under its name in the report."""

    name: str
    path: epath.Path
    reading: str
    header: Header

    @property
    def kind(self) -> str:
        return self.header.readings[self.reading].kind


def check(
    header: Mapping[Place, Header], chosen: Mapping[Place, str], name_of: Mapping[str, str], settings: Settings
) -> None:
    """Raises where the readings, the baseline's first, cannot be compared in this way."""
    check_families(header.values(), settings)
    base, *others = (_Asked(name_of[one.text], one.path, chosen[one], found) for one, found in header.items())
    for other in others:
        _check_kind(base, other)
    for other in others:
        _check_text(base, other)


def check_families(headers: Collection[Header], settings: Settings) -> None:
    """Raises where a family or a label that is asked for stands in no header."""
    families = {name: family for header in reversed([*headers]) for name, family in header.families.items()}
    empty = {name: np.zeros(0, np.int8) for name in families}
    nothing = Aligned(sources=(), unit="token", rows={}, cost={}, count_T=np.zeros(0), families=families, label=empty)
    if settings.filter != "all":
        select(nothing, settings.filter)
    adjustable(nothing, settings)
    shown(nothing, settings)


def adjustable(text: Aligned, settings: Settings) -> None:
    """Raises where the regression is to hold a family fixed that there is not."""
    for name in settings.adjust:
        require(name in text.families, f"--adjust={name} is no family of these files{nearest(name, text.families)}")


def shown(text: Aligned, settings: Settings) -> Aligned:
    """The text with the families of the report: those asked for, or all."""
    text, asked = with_filtered(text), settings.families
    for name in asked:
        require(name in text.families, f"--families={name} is not in these files{nearest(name, text.families)}")
    return dataclasses.replace(text, families={name: text.families[name] for name in asked or text.families})


def _check_kind(base: _Asked, other: _Asked) -> None:
    alike = next((name for name, facts in other.header.readings.items() if facts.kind == base.kind), None)
    file = other.name.partition("@")[0]
    fix = (
        f"Name {file}@{alike}, which is {base.kind} too." if alike else f"{file} has no reading of kind {base.kind!r}."
    )
    require(
        base.kind == other.kind,
        f"{other.reading!r} of {other.name!r} is of kind {other.kind!r} and {base.reading!r} of {base.name!r} of kind "
        f"{base.kind!r}; kinds answer different questions and are never compared. {base.kind}: {KINDS[base.kind]} "
        f"{other.kind}: {KINDS[other.kind]} {fix}",
    )


def _check_text(base: _Asked, other: _Asked) -> None:
    """Raises where documents differ: says how many, how many tokens they have in each file, and which is the first."""
    if base.header.data == other.header.data:
        return
    ours, theirs = (token_reader.read_texts(one.path) for one in (base, other))
    changed = {name for name in ours.keys() & theirs if ours[name] != theirs[name]}
    only_ours, only_theirs = ours.keys() - theirs, theirs.keys() - ours
    parts = (
        (changed, "differ", (base, other)),
        (only_ours, f"are missing in {other.name!r}", (base,)),
        (only_theirs, f"are missing in {base.name!r}", (other,)),
    )
    told = "; ".join(f"{len(names):,} {what} ({_tokens(names, files)})" for names, what, files in parts if names)
    raise ConfigError(
        f"a paired comparison needs two readings of the same text, but of the documents of {base.name!r} and "
        f"{other.name!r} {told}; the first is {min(changed | only_ours | only_theirs, default='')!r} (their "
        f"hashes are {base.header.data[:SHORT]} and {other.header.data[:SHORT]}). Score both on the same documents, "
        "under the same ids."
    )


def _tokens(documents: Collection[str], files: Collection[_Asked]) -> str:
    """How many tokens the documents have in each of the files."""
    counts = {one.name: token_reader.tokens_by_document(one.path) for one in files}
    return ", ".join(f"{sum(map(found.__getitem__, documents)):,} tokens of {name!r}" for name, found in counts.items())
