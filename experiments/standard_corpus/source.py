"""What one source of the corpus is: files of packages, how they are read, grouped and limited."""

import dataclasses
from collections.abc import Callable

from experiments.standard_corpus import groups
from experiments.standard_corpus.texts import Reader

BY_TEXT, BY_FILE = "order{source}:{name}", "{file}"
"""What is hashed to put the texts of a source in the order in which they are drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Texts of one kind from one or several packages.

    Attributes:
      files: regular expression for whole paths in the archives; its parentheses, if any, enclose the names of files.
      sizes: bytes of the smallest and the largest file that is read.
      limit: characters at which drawing stops; 0 is no limit. order: see `BY_TEXT`.
    """

    name: str
    domain: str
    packages: tuple[str, ...]
    files: str
    read: Reader
    licence: str
    group: Callable[[str, str], str] = groups.alone
    sizes: tuple[int, int] = (0, 10**9)
    limit: int = 0
    order: str = BY_TEXT
