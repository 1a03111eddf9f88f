"""What the values of a token file cannot be: the reader refuses it with the place, the rule and the likely cause."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from hybridlm.config.errors import ConfigError, require
from hybridlm.facts.kinds import ScoreKind

ROUNDING = 1e-4
"""A cost of a certain token may lie this far below zero, in nats, by the rounding of an engine."""

_SIGNED = (ScoreKind.SHARE.label,)
"""Kinds whose single values may be negative."""


def check_values(values: np.ndarray, name: str, kind: str, where: str) -> None:
    """Raises where values of a reading cannot be."""
    what = name.partition("/")[0]
    if not np.issubdtype(values.dtype, np.floating) or not values.size:
        return
    require(
        bool(np.isfinite(values).all()),
        f"{where}: column {name!r} holds {int((~np.isfinite(values)).sum())} values that are not finite; a token that "
        "was not scored is null, and any other NaN or infinity is a fault of the engine.",
    )
    low, high = float(values.min()), float(values.max())
    require(
        what != "score" or kind in _SIGNED or low >= -ROUNDING,
        f"{where}: column {name!r} goes down to {low:.4g}, but a score of kind {kind!r} is -log p in nats and never "
        "negative; were log-probabilities stored without the minus sign?",
    )
    require(
        what != "confidence" or (low >= 0 and high <= 1),
        f"{where}: column {name!r} runs from {low:.4g} to {high:.4g}, but a confidence is a probability.",
    )


def check_places(
    path: os.PathLike, arrays: Mapping[str, np.ndarray], names: Sequence[str], size_D: Int[np.ndarray, "D"]
) -> None:
    """Raises where sorted tokens do not lie in their documents, one after another."""
    document_T, position_T = arrays["document"], arrays["position"]
    start_T, end_T = arrays["byte_start"], arrays["byte_end"]
    is_same_T = document_T[1:] == document_T[:-1]

    def refuse(is_bad_T, what):
        n = int(np.argmax(is_bad_T)) if len(is_bad_T) else 0
        if len(is_bad_T) and is_bad_T[n]:
            where = f"document {names[document_T[n]]!r}, position {position_T[n]}"
            raise ConfigError(f"{path}: {where}, bytes {start_T[n]} to {end_T[n]}, {what}")

    refuse(
        (start_T < 0) | (end_T < start_T) | (end_T > size_D[document_T]),
        "is no span of its document's UTF-8; do the spans count characters?",
    )
    refuse(
        np.append(False, is_same_T & (position_T[1:] == position_T[:-1])),
        "stands twice; score each token once, also where windows overlap.",
    )
    refuse(
        np.append(False, is_same_T & (start_T[1:] < end_T[:-1])),
        "begins before the token before it ends; of tokens that share a character, the last has its bytes and the "
        "others none (`hybridlm.reports.engines.spans`).",
    )
