"""The one exception for a mistake in a config or in the data contract; the command line turns it into exit code 64."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """The run asked for cannot be: the text states the rule, the value, the likely cause and the fix."""


def require(condition: bool, message: str) -> None:
    """Raises `ConfigError(message)` unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: `; did you mean 'steps'?`, or the names there are."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def one_of(field: str, value: str, choices: Iterable[str]) -> None:
    """Raises unless `value` is one of the named choices."""
    choices = tuple(choices)
    require(value in choices, f"{field}={value!r} is not one of {', '.join(choices)}{nearest(str(value), choices)}")
