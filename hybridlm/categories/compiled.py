"""What a family says of a document, held against what it declares; and tried on a made-up one before any is read."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import PER_TOKEN, Family
from hybridlm.config.errors import ConfigError, require

TEXT = "The café has 7 tables.\n"
"""Its characters, bytes and tokens are of three numbers, so that labels of one are not taken for those of another."""


def try_out(family: Family) -> None:
    """Refuses a family whose `compile` fails on a made-up document, or labels it in a way that it does not declare.

    One that reads a part of the lexicon has to wait until training text was counted.
    """
    if family.compile is None or family.needs:
        return
    ends_N = np.append(np.arange(3, len(TEXT.encode()), 3), len(TEXT.encode()))
    try:
        compiled(family, Document(TEXT, np.arange(len(ends_N)), ends_N))
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"family {family.name!r} failed on a made-up document, {TEXT!r} of no language: {type(error).__name__}: "
            f"{error}. Its `compile` is given every document of the data, whatever its text and language; give what "
            "the question does not concern label 0."
        ) from error


def compiled(family: Family, document: Document) -> Int8[np.ndarray, "S"]:
    """The index of the label of every character, or token; ConfigError where it is not what the family declares."""
    require(
        not family.needs or getattr(document.lexicon, family.needs) is not None,
        f"family {family.name!r} needs lexicon.{family.needs}, which was not counted; make it from the training split "
        "(hybridlm.categories.lexicon), or leave the family out.",
    )
    labels = np.asarray(family.compile(document))
    unit, wanted = ("token", len(document.ids_N)) if family.rule == PER_TOKEN else ("character", len(document.text))
    require(
        labels.shape == (wanted,),
        f"family {family.name!r} must give one label per {unit}, {wanted} of them, but its shape is {labels.shape}; "
        f"its rule is {family.rule!r}.",
    )
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    require(
        low >= 0 and high < len(family.labels),
        f"family {family.name!r} gave labels {low} to {high}, but it declares 0 to {len(family.labels) - 1}.",
    )
    return labels.astype(np.int8)
