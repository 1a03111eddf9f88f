"""Whether a file is what was written: its hash, and the error that names one which is not."""

import hashlib

from etils import epath


class DamagedData(OSError):
    """A file of prepared rows is not what was written: cut short, overwritten, missing, or bits have flipped."""

    def __init__(self, path: epath.Path, problem: str):
        super().__init__(f"{path}: {problem}. The file is damaged: copy it again, or prepare the data anew.")


def sha256(path: epath.Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
