"""A text on its way from noise, step by step, as one HTML file: every token coloured by how sure the prediction was."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from etils import epath

from hybridlm.config.errors import require
from hybridlm.reports.sample import LEVELS, visible
from hybridlm.sampling.trace import Trace

END = "∎"
"""How a special token that was written is shown; those that were given are left out."""


@dataclasses.dataclass(frozen=True)
class Given:
    """What of a row somebody was given.

    Attributes:
      prompt: tokens of it. count: new tokens at most; size: their bytes, after which nothing is shown.
      end: why the text ends there, in words.
    """

    prompt: int
    count: int
    size: int
    end: str


def write(
    trace: Trace,
    pieces: Sequence[bytes],
    path: epath.PathLike,
    *,
    given: Sequence[Given],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Writes the page.

    `pieces` are the bytes of every id, `given` says how much of each row is shown: samplers write in whole blocks, and
    go on behind a stop string. `facts` are told of the run (sampler, steps, ...).
    """
    epath.Path(path).write_text(render(trace, pieces, given=given, facts=facts or {}))


def render(trace: Trace, pieces: Sequence[bytes], *, given: Sequence[Given], facts: Mapping[str, Any]) -> str:
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
        events(tokens_NBT[:, row], confidence_NBT[:, row], pieces, trace.mask_id, one) for row, one in enumerate(given)
    ]
    edges = [math.exp(-nats) for nats in LEVELS]
    data = {"texts": texts, "ends": [one.end for one in given], "steps": count - 1, "edges": edges}
    return environment.get_template("denoising.html").render(data=data, edges=edges, facts=facts, rows=len(texts))


def events(
    tokens_NT: np.ndarray, confidence_NT: np.ndarray, pieces: Sequence[bytes], mask_id: int, given: Given
) -> list[dict]:
    """For every token whether it was in the prompt, and what became of it: [step, text or None where masked,
    probability]."""
    found = []
    for slot, size in enumerate(_sizes(tokens_NT[-1], pieces, given)):
        tokens_N = tokens_NT[:, slot]
        is_given = tokens_N[0] != mask_id
        if is_given and not size:
            continue
        history = [
            [int(step), _text(int(tokens_N[step]), pieces, mask_id), round(float(confidence_NT[step, slot]), 4)]
            for step in np.flatnonzero(np.diff(tokens_N, prepend=-1))
        ]
        history[-1][1] = _text(int(tokens_N[-1]), pieces, mask_id, size)
        found.append({"given": bool(is_given), "history": history})
    return found


def _sizes(tokens_T: np.ndarray, pieces: Sequence[bytes], given: Given) -> Iterator[int]:
    """How many bytes of each token are shown, up to the last of which any are; EOS has none and is shown."""
    yield from (len(pieces[token]) for token in tokens_T[: given.prompt])
    left = given.size
    for token in tokens_T[given.prompt : given.prompt + given.count]:
        whole = len(pieces[token])
        shown = min(whole, left)
        if shown or not whole:
            yield shown
        if shown < whole:
            return
        left -= shown


def _text(token: int, pieces: Sequence[bytes], mask_id: int, size: int | None = None) -> str | None:
    if token == mask_id:
        return None
    return visible(pieces[token][:size].decode(errors="backslashreplace")) or END
