"""A sha256 of every file of a checkpoint, so that a single flipped bit is found and the file named.

The manifest is written last and in one piece. Its presence says that the checkpoint is complete; its digests say, at
any later time, that nothing in it has changed. It carries its own digest: damage to it is not blamed on other files.
"""

import concurrent.futures
import hashlib
import json
from collections.abc import Iterable

from etils import epath

from hybridlm.data.retries import again
from hybridlm.storage import durable

MANIFEST = "manifest.json"


def seal(directory: epath.Path) -> None:
    """Writes the manifest of all files that lie in the directory now."""
    names = sorted(_names(directory))
    durable.replace(directory / MANIFEST, _render(_entries(directory, names)))


def is_sealed(directory: epath.Path) -> bool:
    """Whether the directory has a manifest that is itself intact; the other files are not read."""
    try:
        _read(directory)
    except (FileNotFoundError, ValueError):
        return False
    return True


def damage(directory: epath.Path) -> list[str]:
    """What has changed since the directory was sealed, one line per file; empty if every byte is as it was."""
    try:
        sealed = _read(directory)
    except FileNotFoundError:
        return [f"{MANIFEST} is missing"]
    except ValueError:
        return [f"{MANIFEST} is damaged"]
    present = _names(directory)
    found = _entries(directory, [name for name in sealed if name in present])
    return [
        f"{name} {_difference(sealed[name], found.get(name))}" for name in sealed if sealed[name] != found.get(name)
    ]


def _difference(sealed: dict, found: dict | None) -> str:
    if found is None:
        return "is missing"
    if found["bytes"] != sealed["bytes"]:
        return f"has {found['bytes']} bytes instead of {sealed['bytes']}"
    return "has other bytes than when it was sealed"


def _names(directory: epath.Path) -> set[str]:
    """Paths of all files below the directory, relative to it, without the manifest itself."""
    return {str(path.relative_to(directory)) for path in durable.files(directory)} - {MANIFEST}


def _entries(directory: epath.Path, names: Iterable[str]) -> dict[str, dict]:
    """Size and digest by name; hashing lets go of the interpreter lock, so threads use every core."""
    names = list(names)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(lambda name: _entry(directory / name), names), strict=True))


def _entry(path: epath.Path) -> dict:
    def read():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"bytes": file.tell(), "sha256": digest}

    return again(path, read)


def _render(files: dict[str, dict]) -> str:
    own = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return json.dumps({"files": files, "sha256": own}, indent=1) + "\n"


def _read(directory: epath.Path) -> dict[str, dict]:
    """The sealed entries; ValueError unless the text is, byte for byte, what `seal` writes."""
    text = again(directory, (directory / MANIFEST).read_text)
    content = json.loads(text)
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or _render(files) != text:
        raise ValueError(f"{directory / MANIFEST} is not the text that was sealed")
    return files
