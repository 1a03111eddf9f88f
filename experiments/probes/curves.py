"""Per-token scores of probe documents -> what each probe says by distance, with intervals over its groups.

recall efficiency = 1 - nll(repeat) / nll(first)      cliff = nll(repeat, far) - nll(repeat, nearest)
margin = nll(wrong) - nll(right)                      accuracy = share of pairs with margin > 0, ties half
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.probes.document import Document
from experiments.probes.repeats import PROBE as REPEATS
from hybridlm.config.errors import require
from hybridlm.statistics.intervals import Intervals, means
from hybridlm.statistics.recall import distance_cliff, recall_efficiency
from hybridlm.statistics.sums import Sums


class Scores(NamedTuple):
    """The tokens of one document: bytes begin to end - 1 of its text cost nll nats; NaN where it was not scored."""

    begin_N: Int[np.ndarray, "N"]
    end_N: Int[np.ndarray, "N"]
    nll_N: Float[np.ndarray, "N"]


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """One measure of a probe, by distance in words."""

    probe: str
    measure: str
    unit: str
    distances: tuple[int, ...]
    found: Intervals


class _Cost(NamedTuple):
    group: str
    distance: int
    nats: float
    tokens: int


def curves(
    documents: Sequence[Document], scores: Mapping[str, Scores], *, seed: int = 0, draws: int = 2000
) -> list[Curve]:
    """All curves of the probes; raises ConfigError if a document or one of its targets has no score."""
    missing = [document.id for document in documents if document.id not in scores]
    require(
        not missing,
        f"{len(missing)} of {len(documents)} probe documents have no scores, {missing[0] if missing else ''!r} first; "
        "score the whole file of probes, or read the file that was scored.",
    )
    found = []
    for probe, members in itertools.groupby(sorted(documents, key=lambda d: d.probe), key=lambda d: d.probe):
        read = _repeats if probe == REPEATS else _pairs
        found += read(probe, list(members), scores, {"seed": seed, "draws": draws})
    return found


def cost(document: Document, role: str, scores: Scores) -> tuple[float, int]:
    """Nats and number of the tokens that hold a byte of a target."""
    target = document.target(role)
    is_in_N = (scores.begin_N < target.end) & (scores.end_N > target.begin)
    nats = float(scores.nll_N[is_in_N].sum())
    require(
        bool(is_in_N.any()) and math.isfinite(nats),
        f"bytes {target.begin} to {target.end} of the probe document {document.id!r}, its {role!r}, were not scored; "
        "score whole documents, every token once.",
    )
    return nats, int(is_in_N.sum())


def _costs(documents: Sequence[Document], scores: Mapping[str, Scores], role: str) -> list[_Cost]:
    """What a target of this role costs, wherever there is one."""
    return [_Cost(d.group, d.distance, *cost(d, role, scores[d.id])) for d in documents if d.target(role)]


def _repeats(probe: str, documents: list[Document], scores, options) -> Iterator[Curve]:
    distances, tokens = _distances(documents), _costs(documents, scores, "repeat")
    first_NC, _ = _table(_costs(documents, scores, "first"), distances)
    repeat_NC, count_NC = _table(tokens, distances)
    sums = Sums(
        total_NC=repeat_NC,
        count_NC=count_NC,
        categories=tuple(("distance", str(distance)) for distance in distances),
        data=probe,
    )
    yield Curve(probe, "recall efficiency", "", distances, recall_efficiency(repeat_NC, first_NC, **options))
    yield Curve(probe, "cliff", "nats per token", distances, distance_cliff(sums, **options))


def _pairs(probe: str, documents: list[Document], scores, options) -> Iterator[Curve]:
    distances = _distances(documents)
    right, wrong = ({d.item: d for d in documents if d.target(role)} for role in ("right", "wrong"))
    require(
        right.keys() == wrong.keys(),
        f"the probe {probe!r} has items without a partner, {sorted(right.keys() ^ wrong.keys())[:1]}: a pair is right "
        "and wrong; read the whole file of probes.",
    )
    costs = _costs(documents, scores, "right")
    against = _costs([wrong[d.item] for d in documents if d.target("right")], scores, "wrong")
    margins = [mine._replace(nats=theirs.nats - mine.nats, tokens=1) for mine, theirs in zip(costs, against)]
    wins = [margin._replace(nats=float(np.heaviside(margin.nats, 0.5))) for margin in margins]
    for measure, unit, values in (("accuracy", "", wins), ("margin", "nats", margins)):
        yield Curve(probe, measure, unit, distances, means(*_table(values, distances), **options))


def _distances(documents: Sequence[Document]) -> tuple[int, ...]:
    return tuple(sorted({document.distance for document in documents}))


def _table(costs: Sequence[_Cost], distances: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens by group and distance."""
    rows = {group: number for number, group in enumerate(dict.fromkeys(cost.group for cost in costs))}
    total_NC, count_NC = np.zeros((len(rows), len(distances))), np.zeros((len(rows), len(distances)), np.int64)
    for group, distance, nats, tokens in costs:
        total_NC[rows[group], distances.index(distance)] += nats
        count_NC[rows[group], distances.index(distance)] += tokens
    return total_NC, count_NC
