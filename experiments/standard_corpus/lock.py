"""What the standard corpus is: the archives of its packages, and the SHA-256 of the text of every domain."""

import dataclasses
import hashlib
import json
import pathlib
import re
import urllib.parse

RECORD = pathlib.Path(__file__).with_name("archives.json")
DOMAINS = pathlib.Path(__file__).with_name("domains.json")
_VERSIONS = {
    "wheel": r"[^-]+-([^-]+)-.*",
    "apt": r"[^_]+_([^_]+)_.*",
    "sdist": r".+-([^-]+)\.tar\.gz",
    "npm": r".+?-(\d.*)\.tgz",
}


@dataclasses.dataclass(frozen=True)
class Pin:
    """One archive."""

    version: str
    file: str
    bytes: int
    sha256: str


def read() -> dict[str, Pin]:
    """The archives of the standard corpus, by package."""
    return {package: Pin(**pin) for package, pin in json.loads(RECORD.read_text()).items()}


def read_domains() -> dict[str, str]:
    """The SHA-256 of the lines of every domain."""
    return json.loads(DOMAINS.read_text())


def as_json(pins: dict[str, Pin]) -> dict:
    """Archives as they are recorded."""
    return {package: dataclasses.asdict(pin) for package, pin in sorted(pins.items())}


def pin(package: str, archive: pathlib.Path) -> Pin:
    """What there is to record of an archive."""
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    file = urllib.parse.unquote(archive.name)
    version = re.fullmatch(_VERSIONS[package.partition(":")[0]], file)[1]
    return Pin(version, archive.name, archive.stat().st_size, digest)
