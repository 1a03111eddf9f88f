"""Logits of a causal language model of transformers, as an array: what a row of it says of the token after it."""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from hybridlm.config.errors import require
from hybridlm.reports.engines.scored import Scored
from hybridlm.reports.engines.spans import Spans


def score(text: str, ids_T: Int[np.ndarray, "T"], logits_TV: Float[np.ndarray, "_ V"], spans: Spans) -> Scored:
    """Scores of one text; the first of `ids_T` is predicted by nothing and stays unscored.

    Pass `model(ids).logits[0].float().numpy()`, as it is and not shifted, and spans from
    `of_offsets(text, tokenizer(text, return_offsets_mapping=True)["offset_mapping"])`.
    """
    require(
        len(ids_T) == len(logits_TV) == len(spans[0]),
        f"there are {len(ids_T)} ids, {len(logits_TV)} rows of logits and {len(spans[0])} spans; pass those of one "
        "text, unshifted and without padding.",
    )
    target_S, log_p_SV = ids_T[1:], logits_TV[:-1].astype(np.float64)
    log_p_SV = log_p_SV - logsumexp(log_p_SV, axis=-1, keepdims=True)
    own_S = np.take_along_axis(log_p_SV, target_S[:, None], 1)[:, 0]
    rank_S = 1 + (log_p_SV > own_S[:, None]).sum(1)
    with np.errstate(invalid="ignore"):  # an id that is never predicted: 0 · log 0 = 0
        entropy_S = -np.nansum(np.exp(log_p_SV) * log_p_SV, axis=1)
    scored = {
        "score": -own_S,
        "entropy": entropy_S,
        "confidence": np.exp(log_p_SV.max(1)),
        "rank": rank_S,
        "correct": rank_S == 1,
    }
    values = {name: [None, *values_S.tolist()] for name, values_S in scored.items()}
    return Scored(text, spans, {"token": ids_T.tolist(), **values})
