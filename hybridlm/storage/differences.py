"""Where two configs differ, as a person reads it."""

import json
from collections.abc import Iterator
from typing import Any

from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import to_dict


def plain(experiment: Experiment) -> dict[str, Any]:
    """The config as JSON gives it back."""
    return json.loads(json.dumps(to_dict(experiment)))


def readable(experiment: Experiment) -> dict[str, Any]:
    """The same, with its mask as the expression that it is shown as."""
    return plain(experiment) | {"mask": experiment.mask}


def differences(stored: Any, wanted: Any, path: str = "config") -> Iterator[str]:
    """A line for each value of two readable configs, or of parts of them, that is not the same."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in sorted(stored.keys() | wanted.keys()):
            yield from differences(stored.get(name), wanted.get(name), f"{path}.{name}")
    elif stored != wanted:
        yield f"{path}: the run has {stored!r}, this command {wanted!r}"
