"""How long a repetition the token completes: COPY-k of the token-level comparison of transformers and hybrids.

    copy = max { k <= 8 : the k tokens ending here also end at an earlier token of the document }

(Li and Merrill 2026, arXiv 2606.20936.) Its COPY_k holds where `copy >= k`; a suffix of k - 1 tokens predicted it.
"""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.copies import LONGEST
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_text": "stands for no text: begin, end, padding",
    "0": "the token is new to the document",
    **{
        str(length): f"it ends {length} token{'s' * (length > 1)} that stood earlier in the document, and no more"
        for length in range(1, LONGEST)
    },
    str(LONGEST): f"it ends {LONGEST} tokens or more that stood earlier in the document",
}


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token."""
    return 1 + document.copies.length_N


FAMILY = by_position(
    name="copy",
    question="How many tokens long is the repetition that the token completes?",
    labels=LABELS,
    is_ordered=True,
    compile=compile,
)
