"""vLLM's `prompt_logprobs`: of every token of the prompt, its log-probability and rank, and those of the likeliest."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hybridlm.config.errors import require
from hybridlm.reports.engines.scored import Scored
from hybridlm.reports.engines.spans import Spans


def score(text: str, ids: Sequence[int], prompt_logprobs: Sequence[Mapping | None], spans: Spans) -> Scored:
    """The prompt as scores.

    `prompt_logprobs` is the field of a `RequestOutput` or of the server's JSON: for each token of `ids` None, or
    token id -> {"logprob", "rank", ...}. Ask for at least one, `SamplingParams(prompt_logprobs=1)`, and confidence
    comes with it. `spans` are those of `ids`: text is decoded by vLLM token by token, which loses cut characters.
    """
    require(
        len(ids) == len(prompt_logprobs) == len(spans[0]),
        f"vLLM gave {len(prompt_logprobs)} prompt_logprobs for {len(ids)} tokens with {len(spans[0])} spans; pass "
        "those of one prompt, special tokens included in all three.",
    )
    own = [_own(token, options) for token, options in zip(ids, prompt_logprobs)]
    best = [_best(options) for options in prompt_logprobs]
    return Scored(
        text,
        spans,
        {
            "token": list(ids),
            "score": [None if found is None else -_field(found, "logprob") for found in own],
            "rank": [None if found is None else _field(found, "rank") for found in own],
            "correct": [None if found is None else _field(found, "rank") == 1 for found in own],
            "confidence": [None if found is None else min(1.0, math.exp(found)) for found in best],
        },
    )


def _own(token: int, options: Mapping | None) -> Any:
    """The entry of the prompt's own token; JSON has ids as text."""
    if options is None:
        return None
    found = options.get(token, options.get(str(token)))
    require(
        found is not None, f"prompt_logprobs hold no entry of the prompt's token {token}; are the ids of this prompt?"
    )
    return found


def _best(options: Mapping | None) -> float | None:
    """The log-probability of the likeliest token, if the engine gave it."""
    found = [_field(option, "logprob") for option in (options or {}).values() if _field(option, "rank") == 1]
    return found[0] if found else None


def _field(option: Any, name: str) -> Any:
    """Of an object of the library, or of its JSON."""
    return option[name] if isinstance(option, Mapping) else getattr(option, name)
