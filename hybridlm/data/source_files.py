"""The files a source names: a file, a directory, or a glob of either, in an order that never changes."""

import dataclasses
import pathlib
import re
from collections.abc import Iterator

from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.config.near_paths import near
from hybridlm.data import embedded
from hybridlm.data.directories import is_local


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file, and its name relative to the source it was found in: moving a corpus changes no name.

    Attributes:
      language: the one its source is said to be in, if any.
    """

    path: epath.Path
    name: str
    language: str = ""

    @property
    def plain_name(self) -> str:
        """The name without `.zst`."""
        return self.name.removesuffix(".zst")

    @property
    def domain(self) -> str:
        """The domain of records that name none: the language, or the name without folders, shard number and suffix."""
        if self.language:
            return self.language
        stem = self.plain_name.rpartition("/")[2].rpartition(".")[0]
        return re.sub(r"-\d+-of-\d+$", "", stem)


def files(source: str) -> list[SourceFile]:
    """The files of a path, directory (recursively, hidden ones left out) or glob, by name."""
    files_found = found(source)
    if not files_found:
        raise ConfigError(_nothing(source))
    return sorted(files_found, key=lambda file: file.name)


def _nothing(source: str) -> str:
    """Why a source names no file, and what may have been meant."""
    base, pattern = _split_glob(source)
    if base.is_dir() and not pattern:
        return f"the source {source!r} is a directory in which there is no file; hidden ones are left out."
    hint = "; nothing fits the glob." if pattern else near(base, lambda path: not path.name.startswith("."))
    return (
        f"the source {source!r} names no file: a source is a file, a directory, a glob, a dataset of TFDS, or "
        f"{embedded.NAME!r}{hint}"
    )


def found(source: str) -> list[SourceFile]:
    """The same in no order, and empty where the source names nothing."""
    base, pattern = _split_glob(source)
    # Only a local path can search below directories with `**`.
    roots = (pathlib.Path(base) if is_local(base) else base).glob(pattern) if pattern else [base]
    return [file for root in map(epath.Path, roots) for file in _below(root, base if pattern else root)]


def _split_glob(source: str) -> tuple[epath.Path, str]:
    parts = source.split("/")
    plain = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return epath.Path("/".join(parts[:plain]) or ("/" if source.startswith("/") else ".")), "/".join(parts[plain:])


def _below(root: epath.Path, base: epath.Path) -> list[SourceFile]:
    if not root.is_dir():
        return [SourceFile(root, _relative(root, base) if root != base else root.name)] if root.exists() else []
    named = [SourceFile(path, _relative(path, base)) for path in _files(root)]
    return [file for file in named if not any(part.startswith(".") for part in file.name.split("/"))]


def _files(directory: epath.Path) -> Iterator[epath.Path]:
    """All files below a directory; `walk` of epath loses the gs:// of a path, and alone knows links."""
    if is_local(directory):
        yield from (epath.Path(folder) / name for folder, _, names in directory.walk() for name in names)
        return
    for path in directory.iterdir():
        yield from _files(path) if path.is_dir() else [path]


def _relative(path: epath.Path, base: epath.Path) -> str:
    return path.relative_to(base).as_posix()
