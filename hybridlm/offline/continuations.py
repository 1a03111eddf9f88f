"""What an evaluation harness asks, as token ids: a text, and from which of its tokens on it is to be scored.

A text is encoded as a whole. The tokens scored are those that hold a byte of the continuation, so that none is lost
where a token spans both sides; white space at the end of a context counts with what follows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from hybridlm.config.errors import ConfigError
from hybridlm.data.tokenizer import Tokenizer


class Request(NamedTuple):
    """Ids of a text without BOS, and the first one that is scored."""

    ids: Int[np.ndarray, "N"]
    first: int


class Window(NamedTuple):
    """Part of a request that fits a row: tokens `begin` to `end`, of which those from `first` on are scored."""

    request: int
    begin: int
    first: int
    end: int

    @property
    def width(self) -> int:
        """Places it takes behind BOS."""
        return self.end - self.begin


def requests(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]) -> list[Request]:
    """A request for every (context, continuation); raises where a text is not what its tokens spell."""
    ids_of = tokenizer.encode_batch([context + continuation for context, continuation in pairs])
    return [_request(tokenizer, *pair, ids_N) for pair, ids_N in zip(pairs, ids_of, strict=True)]


def _request(tokenizer: Tokenizer, context: str, continuation: str, ids_N: Int[np.ndarray, "N"]) -> Request:
    if tokenizer.to_bytes(ids_N.tolist()) != (context + continuation).encode():
        raise ConfigError(
            f"the tokenizer does not give back the text {(context + continuation)[:80]!r} that a task asks about, so "
            "nobody could tell which tokens are its continuation; score it with the model's own library."
        )
    ends_N = np.cumsum(tokenizer.byte_lengths[ids_N])
    return Request(ids_N, int(np.searchsorted(ends_N, len(context.rstrip().encode()), side="right")))


def windows(length: int, first: int, room: int, *, least: int = 0) -> Iterator[tuple[int, int, int]]:
    """(begin, first scored, end) of the windows that score tokens `first` to `length` once each.

    A window holds at most `room` tokens beside BOS and ends as late as it can, so it is full where the text is long;
    `least` tokens stand before the first it scores, for a network that needs one.
    """
    done = max(first, least)
    while done < length:
        end = min(done + room - least, length)
        yield max(end - room, 0), done, end
        done = end
