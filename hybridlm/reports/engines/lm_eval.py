"""Samples of lm-evaluation-harness: the log-likelihood of whole continuations, which is all that it keeps.

Each becomes one row that spans its bytes. Against token scores of the same documents, `compare` adds the tokens up.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hybridlm.config.errors import require
from hybridlm.reports.engines.scored import Scored


def score(sample: Mapping[str, Any], request: int = 0, group: str = "") -> Scored:
    """One request of a line of `samples_*.jsonl`, from `loglikelihood` or `loglikelihood_rolling`.

    The document is the context and the continuation, of which only the latter is scored; a rolling one is all scored.
    """
    arguments, answer = _arguments(sample["arguments"], request), sample["resps"][request]
    while isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    is_pair = isinstance(answer, list | tuple)
    require(
        len(arguments) == (2 if is_pair else 1) or not isinstance(arguments[-1], Mapping),
        "the sample is of a task that generates; only loglikelihood and loglikelihood_rolling have scores of given "
        "text.",
    )
    context, continuation = arguments if len(arguments) == 2 else ("", arguments[0])
    start, end = len(context.encode()), len((context + continuation).encode())
    values = {"score": [-float(answer[0] if is_pair else answer)]}
    if is_pair:
        values["correct"] = [str(answer[1]) == "True"]
    return Scored(context + continuation, (np.array([start]), np.array([end])), values, group)


def _arguments(arguments: Any, request: int) -> list[Any]:
    """Lists in older versions of the harness, numbered names in newer ones."""
    if isinstance(arguments, Mapping):
        return list(arguments[f"gen_args_{request}"].values())
    return list(arguments[request])
