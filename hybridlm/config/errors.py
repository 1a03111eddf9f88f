"""The one exception for a mistake in a config or in the data contract; the command line turns it into exit code 64."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """The run asked for cannot be: the text states the rule, the value, the likely cause and the fix."""


def require(condition: bool, message: str) -> None:
    """Raises `ConfigError(message)` unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Which known name is misspelt or cut off here; None where none is near."""
    known = sorted(known)
    begun = [one for one in known if name and one.startswith(name)]
    return min(begun, key=len) if begun else next(iter(difflib.get_close_matches(name, known, n=1)), None)


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
