"""A text on its way from noise, step by step, as one HTML file: every token coloured by how sure the prediction was."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from etils import epath

from hybridlm.config.errors import require
from hybridlm.reports.sample import LEVELS, visible
from hybridlm.sampling.trace import Trace

END = "∎"
"""How a special token that was written is shown; those that were given are left out."""


def write(
    trace: Trace, pieces: Sequence[bytes], path: epath.PathLike, *, facts: Mapping[str, Any] | None = None
) -> None:
    """Writes the page; `pieces` are the bytes of every id, and `facts` are told of the run (sampler, steps, ...)."""
    epath.Path(path).write_text(render(trace, pieces, facts=facts or {}))


def render(trace: Trace, pieces: Sequence[bytes], *, facts: Mapping[str, Any]) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hybridlm", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = "{:.2g}".format
    count = int(trace.count)
    tokens_NBT, confidence_NBT = (np.asarray(x)[:count] for x in (trace.tokens_NBT, trace.confidence_NBT))
    require(
        bool(tokens_NBT.max() < max(len(pieces), trace.mask_id + 1)),
        f"the trace has id {tokens_NBT.max()}, but there are pieces for {len(pieces)} ids; give those of the tokenizer "
        "that the model was trained with.",
    )
    texts = [
        events(tokens_NBT[:, row], confidence_NBT[:, row], pieces, trace.mask_id) for row in range(tokens_NBT.shape[1])
    ]
    edges = [math.exp(-nats) for nats in LEVELS]
    data = {"texts": texts, "steps": count - 1, "edges": edges}
    return environment.get_template("denoising.html").render(data=data, edges=edges, facts=facts, rows=len(texts))


def events(tokens_NT: np.ndarray, confidence_NT: np.ndarray, pieces: Sequence[bytes], mask_id: int) -> list[dict]:
    """For every token whether it was given, and what became of it: [step, text or None where masked, probability]."""
    found = []
    for tokens_N, confidence_N in zip(tokens_NT.T, confidence_NT.T, strict=True):
        is_given = tokens_N[0] != mask_id
        if is_given and not pieces[tokens_N[0]]:
            continue
        is_new_N = np.diff(tokens_N, prepend=-1) != 0
        history = [
            [int(step), _text(int(tokens_N[step]), pieces, mask_id), round(float(confidence_N[step]), 4)]
            for step in np.flatnonzero(is_new_N)
        ]
        found.append({"given": bool(is_given), "history": history})
    return found


def _text(token: int, pieces: Sequence[bytes], mask_id: int) -> str | None:
    if token == mask_id:
        return None
    return visible(pieces[token].decode(errors="backslashreplace")) or END
