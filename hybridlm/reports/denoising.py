"""A text on its way from noise, step by step, as one HTML file: every token coloured by how sure the prediction was."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from etils import epath

from hybridlm.config.errors import require
from hybridlm.reports.sample import visible
from hybridlm.sampling.trace import Trace

EDGES = (0.8, 0.6, 0.4, 0.2, 0.05, 0.01, 0.001)
"""Probabilities below which the colour of a token changes."""

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
    environment.filters["percent"] = lambda share: f"{100 * share:g}%"
    passes = int(trace.count) - 1
    tokens_NBT, confidence_NBT = (np.asarray(x)[: passes + 1] for x in (trace.tokens_NBT, trace.confidence_NBT))
    require(
        bool(tokens_NBT.max() < max(len(pieces), trace.mask_id + 1)),
        f"the trace has id {tokens_NBT.max()}, but there are pieces for {len(pieces)} ids; give those of the tokenizer "
        "that the model was trained with.",
    )
    shown = [len(list(_sizes(tokens_NBT[-1, row], pieces, one))) for row, one in enumerate(given)]
    kept_N = frames(tokens_NBT, shown)
    rows = [(tokens_NBT[kept_N, row, :count], confidence_NBT[kept_N, row]) for row, count in enumerate(shown)]
    steps = len(kept_N) - 1
    data = {
        "texts": [events(*row, pieces, trace.mask_id, one) for row, one in zip(rows, given)],
        "counts": [counts(tokens_NT, trace.mask_id) for tokens_NT, _ in rows],
        "ends": [one.end for one in given],
        "steps": steps,
        "edges": EDGES,
    }
    facts = {**facts, "passes": f"{passes}, of which {steps} changed what is shown"}
    return environment.get_template("denoising.html").render(data=data, edges=EDGES, facts=facts, rows=len(given))


def frames(tokens_NBT: np.ndarray, slots: Sequence[int]) -> np.ndarray:
    """The first frame and those in which a token that is shown has changed, of the first `slots` tokens of each row."""
    changed = [(np.diff(tokens_NBT[:, row, :count], axis=0) != 0).any(1) for row, count in enumerate(slots)]
    return np.flatnonzero(np.concatenate([[True], np.any(changed, axis=0)]))


def counts(tokens_NT: np.ndarray, mask_id: int) -> dict[str, list[int]]:
    """After every step, how many of the tokens that were masked at first are written, and how many will stay so."""
    is_written_NT = (tokens_NT[0] == mask_id) & (tokens_NT != mask_id)
    is_last_NT = np.logical_and.accumulate((tokens_NT == tokens_NT[-1])[::-1])[::-1]
    return {"written": is_written_NT.sum(1).tolist(), "stay": (is_written_NT & is_last_NT).sum(1).tolist()}


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
