"""A corpus that is already on every machine: the running Python's standard library.

Its modules are code, their docstrings and the language reference are English, its decimal test files are numbers.
"""

import ast
import functools
import pathlib
import re
import sysconfig
import warnings
from collections.abc import Iterator

from hybridlm.data.documents import Document, Dropped

NAME = "embedded"
"""How `DataConfig.sources` calls this corpus."""

SKIPPED = {"test", "tests", "idle_test", "site-packages", "lib2to3", "pydoc_data", "__pycache__"}
"""Folders whose Python files are no code to learn from: tests, foreign packages, an old grammar, text in disguise."""

LACKING = "not part of this Python"

SHORTEST_DOCSTRING = 80
"""Characters; below it a docstring mostly repeats a name."""


def read() -> Iterator[Document | Dropped]:
    """Every document of the corpus, and a `Dropped` for each part that this Python lacks."""
    yield from _everything()


def files() -> list[tuple[str, pathlib.Path]]:
    """(name, path) of everything that is read."""
    reference = _library() / "pydoc_data" / "topics.py"
    return [*_modules(), *([("pydoc_data/topics.py", reference)] if reference.exists() else []), *_decimal_tests()]


@functools.cache
def _everything() -> tuple[Document | Dropped, ...]:
    return (*_code_and_docstrings(), *_language_reference(), *_numbers())


def _library() -> pathlib.Path:
    return pathlib.Path(sysconfig.get_path("stdlib"))


def _modules() -> list[tuple[str, pathlib.Path]]:
    library = _library()
    named = ((path.relative_to(library), path) for path in sorted(library.rglob("*.py")))
    # _sysconfigdata describes the machine that built this Python.
    return [(name.as_posix(), path) for name, path in named if _is_code(name)]


def _is_code(name: pathlib.PurePath) -> bool:
    return not SKIPPED & set(name.parts) and not name.name.startswith("_sysconfigdata")


def _code_and_docstrings() -> Iterator[Document | Dropped]:
    for name, path in _modules():
        text = _text(name, path)
        if isinstance(text, Dropped):
            yield text
            continue
        # One group for a module's code and its English, or the same sentences would stand on both sides of a split.
        group = name.partition("/")[0].removesuffix(".py")
        if text.strip():
            yield Document(name, text, group, "python")
        if english := docstrings(text):
            yield Document(f"{name}:docstrings", english, group, "english")


def _text(name: str, path: pathlib.Path) -> str | Dropped:
    raw = path.read_bytes()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Dropped(name, "not UTF-8", len(raw))


def docstrings(code: str) -> str:
    """The longer docstrings of a module in their order, as one text: alone, most would be shorter than a row."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(code)) if isinstance(node, kinds))
    found = [(node.body[0].lineno, text) for node in nodes if (text := ast.get_docstring(node))]
    return "\n\n".join(text for _, text in sorted(found) if len(text) > SHORTEST_DOCSTRING)


def _language_reference() -> Iterator[Document | Dropped]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        yield Dropped("pydoc_data/topics", LACKING)
        return
    for topic, text in sorted(topics.items()):
        yield Document(f"pydoc_data/topics:{topic}", text, f"topics/{topic}", "english")


def _decimal_tests() -> list[tuple[str, pathlib.Path]]:
    folder = _library() / "test" / "decimaltestdata"
    return [(f"decimaltestdata/{path.name}", path) for path in sorted(folder.glob("*.decTest"))]


def _numbers() -> Iterator[Document | Dropped]:
    found = _decimal_tests()
    if not found:
        warnings.warn(
            "this Python comes without test/decimaltestdata, so the embedded corpus has no domain 'numbers'",
            stacklevel=2,
        )
        yield Dropped("test/decimaltestdata", LACKING)
    for name, path in found:
        # The same operation in three precisions (add, ddAdd, dqAdd) shares most of its lines.
        operation = re.sub("^(dd|dq|ds)(?=[A-Z])", "", path.stem).lower()
        text = _text(name, path)
        yield text if isinstance(text, Dropped) else Document(name, text, f"decimal/{operation}", "numbers")
