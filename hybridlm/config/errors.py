"""The one exception for a mistake in a config or in the data contract; the command line turns it into exit code 64."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator

CLOSE = 0.75
"""From how much likeness on, as difflib counts it, a name is taken for a misspelt one: a letter of four."""


class ConfigError(ValueError):
    """The run asked for cannot be: the text states the rule, the value, the likely cause and the fix."""


class Unplaced(ConfigError):
    """A mistake in a part of a config that does not know where it stands, as one objective of several."""


@contextlib.contextmanager
def unplaced() -> Iterator[None]:
    """In such a block nobody knows where the part stands that is checked."""
    try:
        yield
    except ConfigError as error:
        raise Unplaced(str(error)) from error


@contextlib.contextmanager
def placed(path: str) -> Iterator[None]:
    """In such a block it stands at `path`: `objective.ratio=0` is told as `config.objectives.ar.ratio=0`."""
    try:
        yield
    except Unplaced as error:
        kind, _, rest = str(error).partition(".")
        raise ConfigError(f"{path}.{rest}" if kind in ("objective", "reading") else f"{path}: {error}") from error


def require(condition: bool, message: str) -> None:
    """Raises `ConfigError(message)` unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Which known name is misspelt or cut off here; None where none is near."""
    known = sorted(known)
    begun = [one for one in known if name and one.startswith(name)]
    return min(begun, key=len) if begun else next(iter(difflib.get_close_matches(name, known, n=1, cutoff=CLOSE)), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: `; did you mean 'steps'?`, or where none is near, the names there are."""
    known = sorted(known)
    near = closest(name, known)
    return f"; did you mean {near!r}?" if near else f"; known are {', '.join(known)}"


def one_of(field: str, value: str, choices: Iterable[str]) -> None:
    """Raises unless `value` is one of the named choices."""
    choices = tuple(choices)
    near = closest(str(value), choices)
    hint = f"; did you mean {near!r}?" if near else "."
    require(value in choices, f"{field}={value!r} is not one of {', '.join(choices)}{hint}")
