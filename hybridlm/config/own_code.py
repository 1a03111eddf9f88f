"""A user's own code, which a config names and does not hold: what it decides differs with the file it is in."""

import hashlib
import importlib.util
from collections.abc import Iterable

from etils import epath


def digests(modules: Iterable[str]) -> dict[str, str | None]:
    """SHA-256 of the file of each module, and None where there is none, or where it cannot be found."""
    return {name: _digest(name) for name in sorted(set(modules))}


def _digest(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.has_location or spec.origin is None:
        return None
    return hashlib.sha256(epath.Path(spec.origin).read_bytes()).hexdigest()
