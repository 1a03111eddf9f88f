"""Logins inside URLs: configs and manifests are kept and handed on, so none may hold a password."""

import re

from hybridlm.config.errors import require

_URL = re.compile(r"(\w+)://[^/@\s\"]*:[^/@\s\"]*@([^/\s\"]+)")


def refuse(text: str, what: str, why: str) -> None:
    """Raises `ConfigError` where a text holds a login, which is named by its host alone."""
    found = sorted({f"a login ({scheme}://***@{host})" for scheme, host in _URL.findall(text)})
    require(
        not found,
        f"{what} holds {', '.join(found)}: {why}, so a password in it would be too. Leave it out, and let the "
        "environment or the store's own login file give it.",
    )
