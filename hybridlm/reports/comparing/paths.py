"""Which file is which: paths as they are written on the command line, short names for them, and the reading of each."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence

from etils import epath

from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.reports.token_file import Header

TOKENS = "tokens.parquet"
"""What a token file is called in the directory of a run or an evaluation."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A token file, the reading asked for (or ""), as it was written on the command line."""

    text: str
    path: epath.Path
    reading: str


def place(text: str) -> Place:
    """`PATH` or `PATH@READING`, where PATH is a token file or a directory with one."""
    path, _, reading = text.partition("@")
    found = epath.Path(path)
    if found.is_dir():
        found = found / TOKENS
        require(found.exists(), f"{path} holds no {TOKENS}; `hybridlm evaluate` writes one, or name the file itself.")
    require(
        found.exists(), f"there is no token file {path}; `hybridlm evaluate` writes one, or see docs/token-scores.md."
    )
    return Place(text, found, reading)


def names(places: Sequence[Place]) -> list[str]:
    """Short names that tell all places apart: as many last parts of the path as it takes."""
    files = [p.path.resolve() for p in places]
    paths = [file.parent.parts if file.name == TOKENS else (*file.parent.parts, file.stem) for file in files]
    depth = 1
    while len({path[-depth:] for path in paths}) < len(set(paths)):
        depth += 1
    short = ["/".join(path[-depth:]) for path in paths]
    return [f"{name}@{p.reading}" if p.reading and short.count(name) > 1 else name for name, p in zip(short, places)]


def choose(header: Mapping[Place, Header]) -> dict[Place, str]:
    """The reading of each place: the one asked for, or the first of the first file that all files have in one kind."""
    common = _common([found for asked, found in header.items() if not asked.reading])
    for asked, found in header.items():
        require(
            not asked.reading or asked.reading in found.readings,
            f"{asked.path} has no reading {asked.reading!r}{nearest(asked.reading, found.readings)}",
        )
    require(
        bool(common) or all(asked.reading for asked in header),
        f"the files have no reading of one name and kind in common: {_at_odds(header)}. {_fix(header)}",
    )
    return {asked: asked.reading or common[0] for asked in header}


def refuse_equals(asked: Sequence[Place], header: Mapping[Place, Header], chosen: Mapping[Place, str]) -> None:
    """Raises where two of those to be compared are one reading of one file."""
    for one, other in itertools.combinations(asked, 2):
        require(
            (one.path.resolve(), chosen[one]) != (other.path.resolve(), chosen[other]),
            f"{one.text} and {other.text} are the same reading, {chosen[one]}, of the same file: their gap is zero on "
            "every token. Name another file, or as PATH@READING another reading of this one, which has "
            f"{_listed(header[one])}.",
        )


def _common(headers: Sequence[Header]) -> list[str]:
    """Readings that all have in one kind, in the order of the first."""
    kinds = [{name: facts.kind for name, facts in header.readings.items()} for header in headers]
    return [name for name, kind in (kinds[0] if kinds else {}).items() if all(k.get(name) == kind for k in kinds)]


def _at_odds(header: Mapping[Place, Header]) -> str:
    """The first reading of one name whose kinds differ between two files; or how many readings each has."""
    (first, base), *others = header.items()
    for other, found in others:
        for name, facts in base.readings.items():
            if name in found.readings and found.readings[name].kind != facts.kind:
                kind = found.readings[name].kind
                return f"{name} is {facts.kind} in {first.path} and {kind} in {other.path}"
    return "; ".join(f"{asked.path} has {_several(found)}" for asked, found in header.items())


def _several(header: Header) -> str:
    """The first reading, and how many more there are."""
    (name, facts), *more = header.readings.items()
    return f"{name} ({facts.kind})" + (f" and {len(more)} more" if more else "")


def _fix(header: Mapping[Place, Header]) -> str:
    """The first readings of one kind, as they would be written; or that no kind is in all files."""
    kinds = [{facts.kind: name for name, facts in reversed(found.readings.items())} for found in header.values()]
    shared = next((kind for kind in reversed(kinds[0]) if all(kind in found for found in kinds)), None)
    if shared is None:
        return "No kind is in all files, so they cannot be compared; score one text with a reading of one kind."
    written = (f"{asked.text.partition('@')[0]}@{found[shared]}" for asked, found in zip(header, kinds))
    return f"Say which to compare, as PATH@READING, such as {' '.join(written)}."


def _listed(header: Header) -> str:
    return ", ".join(f"{name} ({facts.kind})" for name, facts in header.readings.items())


def pairs(text: str, flag: str) -> tuple[tuple[str, str], ...]:
    """`A:B,C:D` as pairs of paths; a colon of `gs://` parts nothing."""
    found = [tuple(re.split(r":(?!//)", pair)) for pair in text.split(",") if pair]
    for pair in found:
        if len(pair) != 2 or not all(pair):
            raise ConfigError(f"{flag}={text} must name pairs of token files as A:B, with commas between pairs.")
    return tuple(found)
