"""Why tokens of the rows have no score: every place of a row is scored under a column, or is here for one reason."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int

from hybridlm.evaluation.readings import SCORED

PADDING = "padding"
BEGIN = "begin of a text"
CONTEXT = "context alone"
UNPREDICTED = "nothing predicts it"
OTHER = "no target of this reading"

CONTEXT_ALONE, NEVER_PREDICTED = 0, -1
"""Values of the column `scored` of tokens that do not count: an earlier window did, or the network cannot."""


def unscored(batch: Mapping[str, Int[np.ndarray, "B T"]], is_counted_BT: Bool[np.ndarray, "B T"]) -> dict[str, int]:
    """How many places of a batch a column does not count, by reason; rows that only fill the batch are left out."""
    is_text_BT = batch["segment_ids"] > 0
    opens_BT = is_text_BT & (batch["positions"] == 0)
    scored_BT = batch.get(SCORED, np.ones_like(batch["tokens"]))
    inside_BT = is_text_BT & ~opens_BT
    found = {
        PADDING: ~is_text_BT & is_text_BT.any(1, keepdims=True),
        BEGIN: opens_BT,
        CONTEXT: inside_BT & (scored_BT == CONTEXT_ALONE),
        UNPREDICTED: inside_BT & (scored_BT == NEVER_PREDICTED),
        OTHER: inside_BT & (scored_BT > 0) & ~is_counted_BT,
    }
    return {reason: int(is_it_BT.sum()) for reason, is_it_BT in found.items()}
