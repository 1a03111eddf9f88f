"""Flags of the verbs. Anything that is neither a flag nor a `--config.name=value` is refused, never ignored."""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from hybridlm.config.errors import ConfigError, closest

_FLAG = re.compile(r"--?[A-Za-z][\w-]*(=.*)?", re.DOTALL)
"""A word that is a flag, with its value or without; a negative number is none, and neither is a text of two dashes."""


class Parser(argparse.ArgumentParser):
    """argparse, with mistakes as `ConfigError` and room for dotted overrides."""

    def __init__(self, verb: str, description: str, **options):
        super().__init__(
            prog=f"hybridlm {verb}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help).")

    def read(self, argv: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
        """The flags, and overrides by dotted name."""
        overrides = dict(_override(text) for text in argv if text.startswith("--config."))
        words = [text for text in argv if not text.startswith("--config.")]
        strays = self._strays(words)
        # of a misspelt flag that is required argparse says only that it is missing, so it is asked last
        flags, strays = (None, strays) if strays else self.parse_known_args(words)
        if strays:
            raise ConfigError(
                f"{strays[0]!r} is neither a flag of {self.prog} nor a --config.name=value{self._meant(strays[0])}"
            )
        for action in self._actions:
            if action.required and getattr(flags, action.dest) == "":
                raise ConfigError(f"--{action.dest} is empty; give it a value, or set the variable it names.")
        return flags, overrides

    def _strays(self, words: Sequence[str]) -> list[str]:
        """Flags that there are not, and words behind no flag where a verb takes none."""
        names, takes_words = self._names(), any(not action.option_strings for action in self._actions)

        def is_stray(before: str, word: str) -> bool:
            if _FLAG.fullmatch(word):
                return word.partition("=")[0] not in names
            return not takes_words and before not in names

        return [word for before, word in zip(("", *words), words) if is_stray(before, word)]

    def _names(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    def _meant(self, stray: str) -> str:
        """What a stray word may have been: a value of the config, a misspelt flag, or part of a value."""
        name, equals, value = stray.lstrip("-").partition("=")
        flags = [known.removeprefix("--") for known in self._names() if known.startswith("--")]
        if name.startswith("config."):
            return f"; did you mean '--{name}{equals}{value}'?"
        if not stray.startswith("-"):
            return "; a value stands behind its flag, as in --flag=VALUE, and in quotes if it has spaces."
        if "config" in flags and (paths := _values(name)):
            return f"; did you mean {' or '.join(repr(f'--config.{path}{equals}{value}') for path in paths)}?"
        if near := closest(name, flags):
            return f"; did you mean '--{near}'?"
        return f"; known are {', '.join(f'--{flag}' for flag in sorted(flags))}."


def _values(name: str) -> list[str]:
    """Where a config has values of this name."""
    from hybridlm.config import command_line  # half of the verbs need no config to say what is wrong

    return command_line.named(name)


def _override(text: str) -> tuple[str, str]:
    name, equals, value = text.removeprefix("--config.").partition("=")
    if not equals:
        raise ConfigError(f"{text!r} has no value; write it as {text}=VALUE.")
    return name, value
