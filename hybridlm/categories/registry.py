"""The one list of all families: those of the vocabulary, those of positions, and a user's own.

A family of one's own is one file and one call. This one asks whether a token is shouted:

    import numpy as np
    from hybridlm.categories.family import by_position
    from hybridlm.categories.registry import register

    def shouted(document):
        return np.array([1 + character.isupper() for character in document.text], np.int8)

    LABELS = {"no_text": "begin, end, padding", "quiet": "no capital", "loud": "has a capital"}
    FAMILY = register(by_position(
        name="shouted", question="Is the token shouted?", labels=LABELS, rule="any", compile=shouted
    ))

Importing that file before rows are prepared adds the column `shouted`, its sums to every score file, and its labels to
filters. `Document` says what `compile` may read.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from hybridlm.categories.compiled import try_out
from hybridlm.categories.families import FAMILIES
from hybridlm.categories.family import Family
from hybridlm.categories.lexicon import Lexicon
from hybridlm.categories.positions import POSITIONS
from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.config.experiment import Experiment

_own: list[Family] = []


def families() -> tuple[Family, ...]:
    """All families: by position, by vocabulary id, by a column of the data, and registered ones last."""
    return (*POSITIONS, *FAMILIES, *_own)


def own() -> tuple[str, ...]:
    """The names of registered families."""
    return tuple(family.name for family in _own)


def register(family: Family) -> Family:
    """Adds a family for the rest of the process, and returns it.

    Raises ConfigError where its name is taken, or where it does not label a made-up document as it declares.
    """
    require(
        family.name not in {known.name for known in families()},
        f"there is already a family {family.name!r}; give yours another name.",
    )
    try_out(family)
    _own.append(family)
    return family


def load(modules: Sequence[str]) -> None:
    """Imports modules that register families, those of `data.label_modules`; ConfigError where one cannot be."""
    for name in modules:
        before = len(_own)
        try:
            importlib.import_module(name)
        except ConfigError:
            del _own[before:]  # once mended, the module is imported as a whole
            raise
        except Exception as error:
            del _own[before:]
            raise ConfigError(
                f"data.label_modules names {name!r}, which cannot be imported: {type(error).__name__}: {error}. It is "
                "the dotted name of a Python file that registers families of labels; is the folder it is counted from "
                "on PYTHONPATH?"
            ) from error


def check(experiment: Experiment) -> None:
    """Raises ConfigError where `evaluation.families` names what is no family, one's own among them."""
    load(experiment.data.label_modules)
    known = [family.name for family in families()]
    for name in experiment.evaluation.families:
        require(
            name in known, f"evaluation.families names {name!r}, which is no family of labels{nearest(name, known)}"
        )


def check_named(labels: Sequence[str]) -> None:
    """Raises ConfigError where a name in `data.labels` is that of no family, or of one that needs no naming."""
    known = {family.name: family for family in families()}
    for name in labels:
        require(name in known, f"data.labels names {name!r}, which is no family of labels{nearest(name, known)}")
        require(
            known[name].compile is not None,
            f"data.labels names {name!r}, whose labels come from the {known[name].source} and are there for every "
            "token; leave it out.",
        )


def compilable(lexicon: Lexicon) -> tuple[Family, ...]:
    """The families whose columns can be made from a document with this lexicon."""
    found = (family for family in families() if family.compile)
    return tuple(family for family in found if not family.needs or getattr(lexicon, family.needs) is not None)


def describe() -> dict[str, dict[str, Any]]:
    """Name -> question, source and labels of every family, of all kinds; None where the data names the labels."""
    return {
        family.name: {
            "question": family.question,
            "source": family.source,
            "labels": None if family.labels is None else dict(family.labels),
        }
        for family in families()
    }
