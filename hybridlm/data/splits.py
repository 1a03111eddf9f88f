"""Which split a document belongs to, by the hash of its group: neighbours in a folder or package stay together.

A group keeps its split whatever else the corpus holds, and however the corpus grows.
"""

import hashlib
from collections.abc import Iterable

from hybridlm.config.errors import ConfigError


def share(group: str) -> float:
    """A fixed number in [0, 1) for a group, spread evenly over groups."""
    return int.from_bytes(hashlib.sha1(group.encode()).digest()[:6]) / 2**48


def split_of(group: str, *, validation: float, test: float) -> str:
    """ "test", "validation" or "train": the hash cut at `test` and at `test + validation`."""
    place = share(group)
    return "test" if place < test else "validation" if place < test + validation else "train"


def check_splits(splits: Iterable[str], groups: Iterable[str], *, validation: float, test: float) -> None:
    """Raises ConfigError if nothing is left to train on, or nothing to evaluate on."""
    splits, groups = set(splits), sorted(set(groups))
    for needed in ("train", "validation"):
        if needed not in splits:
            raise ConfigError(
                f"no document is left for {needed}: whole groups go to one split by the hash of their name, and "
                f"data.validation={validation}, data.test={test} leave {needed} none of the {len(groups)} "
                f"group(s): {_some(groups)}. {_fix(needed, groups, test)}"
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _fix(needed: str, groups: list[str], test: float) -> str:
    columns = "give a .jsonl with a 'group' or 'split' on every line, or several files or folders"
    if needed == "train":
        return f"Lower data.validation and data.test, lift data.domains, or {columns}."
    enough = min((place - test for group in groups if (place := share(group)) >= test), default=1.0)
    if len(groups) < 2 or enough >= 0.49:
        return f"Add sources, or {columns}."
    return f"Set data.validation to at least {enough + 0.005:.2f}, add sources, or {columns}."
