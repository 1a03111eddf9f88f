"""OpenAI-style completions asked to `echo` the prompt: tokens with log-probabilities and character offsets."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hybridlm.config.errors import require
from hybridlm.reports.engines.scored import Scored
from hybridlm.reports.engines.spans import of_offsets


def score(text: str, choice: Mapping[str, Any]) -> Scored:
    """One of the response's `choices` to {"prompt": text, "echo": true, "logprobs": 1, "max_tokens": 1}.

    What was generated after the prompt is left out. Raises where the server echoed no prompt, or another one.
    """
    logprobs = choice["logprobs"]
    starts = logprobs["text_offset"]
    require(
        choice["text"].startswith(text) and len(starts) > 0 and starts[0] == 0,
        f"the server returned {choice['text'][:40]!r}... where the prompt begins with {text[:40]!r}: it did not echo "
        "the prompt, so these are not its log-probabilities. Not every server has `echo`.",
    )
    count = sum(start < len(text) for start in starts)
    ends = [*starts[1:], len(choice["text"])][:count]
    _check(text, logprobs["tokens"], starts[:count], ends)
    require(
        not ends or ends[-1] == len(text),
        f"the last token of the prompt runs on into the completion, to character {ends[-1:]} of {len(text)}; ask for "
        "max_tokens=0, or end the prompt with a whole token.",
    )
    own = logprobs["token_logprobs"][:count]
    best = [_best(options) for options in (logprobs.get("top_logprobs") or [None] * count)[:count]]
    values = {"score": [None if value is None else -value for value in own]}
    if any(value is not None for value in best):
        values["confidence"] = [None if value is None else min(1.0, math.exp(value)) for value in best]
        values["correct"] = [None if top is None or value is None else value >= top for value, top in zip(own, best)]
    return Scored(text, of_offsets(text, list(zip(starts, ends))), values)


def _best(options: Mapping[str, float] | None) -> float | None:
    return max(options.values()) if options else None


def _check(text: str, tokens: Sequence[str], starts: Sequence[int], ends: Sequence[int]) -> None:
    """Raises where a token is not what stands at its offset; parts of characters, which servers escape, pass."""
    for token, start, end in zip(tokens, starts, ends):
        is_partial = token.startswith("bytes:") or "\ufffd" in token
        require(
            is_partial or token == text[start:end],
            f"the token {token!r} is said to stand at character {start}, where the text has {text[start:end]!r}; the "
            "offsets belong to another text, or count something else.",
        )
