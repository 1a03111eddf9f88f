"""The passages that tell most of a comparison, and their text token by token, for colouring.

The rule: documents are cut every `LENGTH` rows. First come, category by category, the passage in which its tokens gain
most in all and the one in which they lose most, up to `BY_CATEGORY`; then, in turn, those of the largest gain and of
the largest loss of all, at most `PER_GROUP` of a group, up to `PASSAGES`. The gap is that of the first model.
"""

import codecs
import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float, Int

from hybridlm.reports.comparing.aligned import Aligned
from hybridlm.statistics.sums import cluster_sums

PASSAGES, BY_CATEGORY, PER_GROUP, LENGTH = 200, 120, 2, 80
BETWEEN = 160
"""Characters shown of a stretch that was not compared, half from each end: rows far apart leave whole files between."""


@dataclasses.dataclass(frozen=True)
class Token:
    """A row of the text and what stands before it that was not compared."""

    before: str
    text: str


@dataclasses.dataclass(frozen=True)
class Passage:
    """Rows `first` to `last` - 1 of one document. Attributes: why: what it was chosen for. gap: total, in nats."""

    document: str
    group: str
    first: int
    last: int
    why: str
    gap: float
    tokens: tuple[Token, ...]
    cost: Mapping[str, Float[np.ndarray, "T"]]
    label: Mapping[str, Int[np.ndarray, "T"]]
    extra: Mapping[str, np.ndarray]


def passages(text: Aligned) -> list[Passage]:
    """The chosen passages, largest gain first and largest loss last."""
    base, model = text.baseline.name, text.sources[1].name
    piece_T = pieces(text.document_T)
    first_P = np.flatnonzero(np.append(True, np.diff(piece_T) != 0))
    last_P = np.append(first_P[1:], len(piece_T))
    gap_T = text.cost[base].astype(np.float64) - text.cost[model]
    total_P = cluster_sums(gap_T, piece_T, np.zeros((1, len(piece_T)), np.int8), clusters=len(first_P), categories=1)[
        :, 0
    ]
    chosen = choose(total_P, text.cluster_T[first_P], _by_category(text, gap_T, piece_T, len(first_P)))
    order = sorted(chosen, key=lambda p: (-total_P[p], p))
    return [_passage(text, int(first_P[p]), int(last_P[p]), chosen[p], float(total_P[p])) for p in order]


def pieces(document_T: Int[np.ndarray, "T"]) -> Int[np.ndarray, "T"]:
    """The passage of every row: a new one with each document, and after every `LENGTH` rows of one."""
    is_new_T = np.append(True, np.diff(document_T) != 0)
    row_T = np.arange(len(document_T))
    since_T = row_T - row_T[is_new_T][np.cumsum(is_new_T) - 1]
    return np.cumsum(since_T % LENGTH == 0) - 1


def _by_category(text: Aligned, gap_T, piece_T, count: int) -> Iterator[tuple[int, str]]:
    """(passage, reason) of every category's extremes, family by family."""
    for name, family in text.families.items():
        labels = list(family.labels)
        total_PC = cluster_sums(gap_T, piece_T, text.label[name][None], clusters=count, categories=len(labels))
        for c, label in enumerate(labels):
            for sign, word in ((1, "gain"), (-1, "loss")):
                best = int(np.argmax(sign * total_PC[:, c]))
                if sign * total_PC[best, c] > 0:
                    yield best, f"largest {word} of {name} {label}"


def choose(
    total_P: Float[np.ndarray, "P"], group_P: Int[np.ndarray, "P"], by_category: Iterator[tuple[int, str]]
) -> dict[int, str]:
    """Passage -> why it was chosen."""
    chosen = {}
    for passage, why in by_category:
        if len(chosen) >= BY_CATEGORY:
            break
        chosen.setdefault(passage, why)
    taken = {}
    for passage in chosen:
        taken[group_P[passage]] = taken.get(group_P[passage], 0) + 1
    order = np.argsort(-total_P, kind="stable")
    gains, losses = order[total_P[order] > 0], order[::-1][total_P[order[::-1]] < 0]
    for pair in itertools.zip_longest(gains.tolist(), losses.tolist()):
        for passage, word in zip(pair, ("gains", "losses")):
            if len(chosen) >= PASSAGES:
                return chosen
            if passage is None or passage in chosen or taken.get(group_P[passage], 0) >= PER_GROUP:
                continue
            chosen[passage] = f"among the largest {word} of all"
            taken[group_P[passage]] = taken.get(group_P[passage], 0) + 1
    return chosen


def _passage(text: Aligned, first: int, last: int, why: str, gap: float) -> Passage:
    tokens, rows, cut = text.baseline.tokens, text.row_T[first:last], slice(first, last)
    document = int(tokens.document_T[rows[0]])
    spans = list(zip(tokens.byte_start_T[rows].tolist(), tokens.byte_end_T[rows].tolist()))
    return Passage(
        document=tokens.documents[document],
        group=tokens.groups[tokens.group_D[document]],
        first=first,
        last=last,
        why=why,
        gap=gap,
        tokens=tuple(spelled(tokens.texts[document], spans)),
        cost={name: cost_T[cut] for name, cost_T in text.cost.items()},
        label={name: text.label[name][cut] for name in text.families},
        extra=dict(_extra(text, cut)),
    )


def _extra(text: Aligned, cut: slice) -> Iterator[tuple[str, np.ndarray]]:
    """Other numbers of the readings whose tokens are the rows."""
    for source in text.sources:
        for what in ("confidence", "entropy", "rank"):
            values = source.values(what)
            if values is not None and source.name in text.rows:
                yield f"{what} of {source.name}", values[text.rows[source.name][cut]]


def shortened(text: str) -> str:
    """The text without its middle, if it is long."""
    half = BETWEEN // 2
    return text if len(text) <= BETWEEN else f"{text[:half]} […] {text[-half:]}"


def spelled(text: bytes, spans: list[tuple[int, int]]) -> Iterator[Token]:
    """Tokens as text: a character belongs to the token that holds its last byte, and other bytes of it show nothing."""
    decoder, at = codecs.getincrementaldecoder("utf-8")("replace"), spans[0][0]
    while 0 < at < len(text) and text[at] & 0xC0 == 0x80:  # begin with a whole character
        at -= 1
    for start, end in spans:
        before = decoder.decode(text[at:start])
        yield Token(shortened(before), decoder.decode(text[start:end]))
        at = end
