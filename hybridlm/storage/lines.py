"""A text file that grows line by line; in an object store, which appends nothing, by numbered parts beside it.

Parts are gathered into the file when the writer closes it, and when the next one begins.
"""

from collections.abc import Iterable

from etils import epath

from hybridlm.data.directories import is_local
from hybridlm.data.retries import again
from hybridlm.storage import durable


class Lines:
    """The file, made anew with the lines it begins with."""

    def __init__(self, path: epath.Path, begin: Iterable[str]):
        self._path, self._count = path, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write("".join(begin))

    def append(self, line: str) -> None:
        """Adds a line, its end included."""
        if is_local(self._path):
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(line)
            return
        part = _parts(self._path) / f"{self._count:09d}"
        again(part, lambda: (part.parent.mkdir(parents=True, exist_ok=True), part.write_text(line)))
        self._count += 1

    def gather(self) -> None:
        """Makes one file of all parts."""
        if self._count:
            self._write("".join(read(self._path)))

    def _write(self, text: str) -> None:
        durable.replace(self._path, text)
        if not is_local(self._path):
            _parts(self._path).rmtree(missing_ok=True)
        self._count = 0


def read(path: epath.Path) -> list[str]:
    """All whole lines with their ends, parts included; one that a kill cut off is left out.

    A part that was gathered just before a kill counts once.
    """
    whole = path.read_text() if path.exists() else ""
    parts = _parts(path)
    names = sorted(parts.iterdir()) if not is_local(path) and parts.exists() else []
    text = whole + "".join(part.read_text() for part in names)
    return list(dict.fromkeys(text[: text.rfind("\n") + 1].splitlines(keepends=True)))


def _parts(path: epath.Path) -> epath.Path:
    return path.with_name(f"{path.name}.parts")
