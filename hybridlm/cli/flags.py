"""Flags of the verbs. Anything that is neither a flag nor a `--config.name=value` is refused, never ignored."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from hybridlm.config.errors import ConfigError, nearest


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
        own = [text for text in argv if not text.startswith("--config.")]
        flags, strays = self.parse_known_args(own)
        if strays:
            raise ConfigError(
                f"{strays[0]!r} is neither a flag of {self.prog} nor a --config.name=value{self._nearest(strays[0])}"
            )
        return flags, dict(_override(text) for text in argv if text.startswith("--config."))

    def _nearest(self, stray: str) -> str:
        if stray.startswith("config."):
            return f"; did you mean '--{stray}'?"
        flags = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        return nearest(stray.partition("=")[0], flags)


def _override(text: str) -> tuple[str, str]:
    name, equals, value = text.removeprefix("--config.").partition("=")
    if not equals:
        raise ConfigError(f"{text!r} has no value; write it as {text}=VALUE.")
    return name, value
