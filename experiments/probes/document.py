"""A probe document: text, and the bytes in it whose cost answers a question. One document is one line of JSON.

Distances count words, which are what white space separates, so that a text is the same for every tokenizer.
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence

from etils import epath


@dataclasses.dataclass(frozen=True)
class Target:
    """Bytes `begin` to `end` - 1 of the UTF-8 of the text, and what they are there for.

    Roles: "first" and "repeat" of a span that comes twice; the "antecedent" that decides what is "right", and "wrong".
    """

    role: str
    begin: int
    end: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """Attributes:
    id: unlike any other. probe: the question. group: what intervals cluster by, a template or a random span.
    distance: words from the first span to its repeat, or from the antecedent to what depends on it.
    item: documents of one item differ in their last word alone. targets: in the order of the text.
    """

    id: str
    probe: str
    group: str
    distance: int
    item: str
    text: str
    targets: tuple[Target, ...]

    def target(self, role: str) -> Target | None:
        """The target of a role, if there is one."""
        return next((target for target in self.targets if target.role == role), None)


def marked(pieces: Iterable[str | tuple[str, str]]) -> tuple[str, tuple[Target, ...]]:
    """The text of all pieces, and the targets among them: those that come with a role, as (role, piece)."""
    text, targets = "", []
    for piece in pieces:
        role, piece = piece if isinstance(piece, tuple) else ("", piece)
        begin = len(text.encode())
        text += piece
        if role:
            targets.append(Target(role, begin, len(text.encode())))
    return text, tuple(targets)


def save(documents: Sequence[Document], path: epath.PathLike) -> None:
    """Writes lines of JSON, which `hybridlm evaluate --data` reads as they are."""
    lines = (json.dumps(dataclasses.asdict(document), ensure_ascii=False) + "\n" for document in documents)
    epath.Path(path).write_text("".join(lines))


def load(path: epath.PathLike) -> list[Document]:
    """The documents of a file that `save` wrote."""
    rows = (json.loads(line) for line in epath.Path(path).read_text().splitlines())
    return [Document(**row | {"targets": tuple(Target(**target) for target in row["targets"])}) for row in rows]
