"""What a family may know: the bytes of every id, how often training text used it, and the domains of the documents."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from hybridlm.config.errors import require


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Attributes:
    tokens: bytes of each id; empty for special tokens, which stand for no text.
    counts_V: occurrences of each id in the training split.
    domains: names behind the `language` column, in its order.
    """

    tokens: tuple[bytes, ...]
    counts_V: Int[np.ndarray, "V"]
    domains: tuple[str, ...] = ()

    def __post_init__(self):
        require(
            len(self.tokens) == len(self.counts_V),
            f"a vocabulary needs one training count per id, but there are {len(self.tokens)} ids and "
            f"{len(self.counts_V)} counts; count with the tokenizer that made the ids, special tokens included.",
        )


def of_tokenizer(
    token_bytes: Sequence[bytes],
    counts_V: Int[np.ndarray, "V"],
    special_ids: Mapping[str, int],
    domains: Sequence[str] = (),
) -> Vocabulary:
    """The vocabulary of a tokenizer, in which special tokens lose the spelling (`<|eos|>`) that no text contains."""
    special = set(special_ids.values())
    tokens = tuple(b"" if index in special else token for index, token in enumerate(token_bytes))
    return Vocabulary(tokens, np.asarray(counts_V, np.int64), tuple(domains))
