"""What there is near a path that does not exist, for whoever misspelt it or stands in another directory."""

import difflib
import os
from collections.abc import Callable
from typing import Any

from hybridlm.config.errors import CLOSE

LISTED = 6
"""How many names a refusal lists."""


def near(path: Any, is_one: Callable[[Any], bool]) -> str:
    """The end of a sentence: `; did you mean runs/quickstart?`, or what else there is. Takes `pathlib` and `epath`.

    `is_one` says of a path that exists whether it could have been meant.
    """
    parent = path.parent
    if not parent.is_dir():
        where = "" if path.is_absolute() else f" in {os.getcwd()}, where relative paths start"
        return f"; nor is there a directory {parent}{where}."
    found = {one.stem: one for one in inside(parent, is_one)}
    close = difflib.get_close_matches(path.stem, found, n=1, cutoff=CLOSE)
    if close:
        return f"; did you mean {found[close[0]]}?"
    some = [one.name for one in found.values()][:LISTED] + ["more"] * (len(found) > LISTED)
    return f"; in {parent.resolve()} there is {', '.join(some) or 'none'}."


def inside(directory: Any, is_one: Callable[[Any], bool]) -> list[Any]:
    """What lies in a directory and could be meant, by name; what may not be looked at could not."""

    def could_be(path: Any) -> bool:
        try:
            return is_one(path)
        except OSError:
            return False

    try:
        return sorted(filter(could_be, directory.iterdir()))
    except OSError:
        return []
