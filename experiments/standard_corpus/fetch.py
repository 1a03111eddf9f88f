"""Archives in a cache, each fetched once and held to the hash on record; a killed download leaves nothing in it."""

import pathlib
import shutil
from collections.abc import Iterable, Mapping

from experiments.standard_corpus import clients, lock
from experiments.standard_corpus.lock import Pin
from hybridlm.config.errors import require
from hybridlm.data.progress import Progress, remark

MOVED = "--allow-moved"


def fetch(
    packages: Iterable[str], pins: Mapping[str, Pin], cache: pathlib.Path, *, allow_moved: bool, progress: Progress
) -> dict[str, tuple[pathlib.Path, Pin]]:
    """The archive of every package and what it is.

    Raises:
      ConfigError: if one is not the archive on record, unless others are allowed. OSError: if one cannot be fetched.
    """
    packages, fetched = tuple(packages), {}
    with progress("fetching packages", sum(pins[package].bytes for package in packages if package in pins)) as advance:
        for package in packages:
            archive = _archive(package, pins.get(package), cache, allow_moved)
            found = lock.pin(package, archive)
            if found != pins.get(package):
                _check(package, found, pins.get(package), archive, allow_moved)
            fetched[package] = archive, found
            advance(found.bytes)
    for package, (_, found) in fetched.items():
        if found != pins.get(package):
            remark(progress, f"{package} moved: {found.version} instead of {_version(pins.get(package))}")
    return fetched


def _archive(package: str, pin: Pin | None, cache: pathlib.Path, allow_moved: bool) -> pathlib.Path:
    folder = cache / package.replace(":", "-").replace("/", "-")
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # a killed run may have left one
        partial.mkdir(parents=True)
        _download(package, pin, partial, allow_moved)
        partial.rename(folder)
    return next(folder.iterdir())


def _download(package: str, pin: Pin | None, folder: pathlib.Path, allow_moved: bool) -> None:
    try:
        clients.download(package, pin.version if pin else "", folder)
    except OSError as error:
        if not allow_moved:
            raise OSError(
                f"{error}. Either there is no network here, or apt-get update was not run, or this version is no "
                f"longer offered, as happens to Debian packages; then {MOVED} takes what is offered now."
            ) from error
        clients.download(package, "", folder)


def _check(package: str, found: Pin, pin: Pin | None, archive: pathlib.Path, allow_moved: bool) -> None:
    require(
        allow_moved,
        f"{package} must be the archive on record, {_version(pin)} with SHA-256 {pin.sha256 if pin else 'unknown'}, "
        f"and {archive.name} has {found.sha256}. It was published again, fetched with {MOVED} before, or damaged: "
        f"remove {archive.parent} and run again, or go on with it and with {MOVED} (the corpus then differs from the "
        "standard one, and its archives.json tells how).",
    )


def _version(pin: Pin | None) -> str:
    return pin.version if pin else "none"
