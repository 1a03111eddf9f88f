"""What joining two predictions did: the first expert's share by category, what a refiner asked of the second, and what
no switch between the two could go below, which is no model."""

import dataclasses
import json
from collections.abc import Iterator, Mapping

import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import Float, Int

from hybridlm.combine.oracle import oracle_switch
from hybridlm.combine.refined import Latency
from hybridlm.config.combination import Combination
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.evaluation.run import SHARE, Evaluation
from hybridlm.evaluation.task import Task
from hybridlm.reports.progress import stages

FILE = "combinations.json"
FEWEST = 8
"""Texts of which a histogram is shown: that of fewer is noise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined:
    """Attributes:
    call: the combination, with all its numbers. nats, floor: per token of the combination, and of the best switch there
      could be, which reads the answer. shares: (family, label, mean share of the first expert, tokens).
    refined: of a refiner, what it asked of the second expert; else None.
    """

    call: Combination
    nats: float
    floor: float
    shares: tuple[tuple[str, str, float, int], ...]
    refined: Latency | None


def of(config: EvaluationConfig, task: Task, found: Evaluation) -> dict[str, Joined]:
    """Every combination of an evaluation, by name."""
    asked = config.combinations
    return {name: _joined(name, asked[name], config, task, found) for name in stages("combinations", asked)}


def _joined(name: str, combination: Combination, config: EvaluationConfig, task: Task, found: Evaluation) -> Joined:
    families = [family for family in task.tables.families if not config.families or family.name in config.families]
    names = [name, f"{SHARE}/{name}", *combination.experts, "document", *(family.name for family in families)]
    # one pass, since every batch may come from a file
    parts = [[batch[column] for column in names] for batch in found.tokens]
    columns = dict(zip(names, map(np.concatenate, zip(*parts))))
    is_counted_N = np.isfinite(columns[name])
    columns = {column: values_N[is_counted_N] for column, values_N in columns.items()}
    share_N = columns[f"{SHARE}/{name}"]
    shares = [("all", "all", float(share_N.mean()), len(share_N))]
    for family in families:
        shares += _by_label(family.name, family.labels, columns[family.name], share_N)
    return Joined(
        call=combination,
        nats=float(columns[name].mean()),
        floor=float(oracle_switch(*(jnp.asarray(columns[name]) for name in combination.experts)).floor_N.mean()),
        shares=tuple(shares),
        refined=_refined(share_N, columns["document"]) if combination.gate == "refine" else None,
    )


def _by_label(family, labels, label_N: Int[np.ndarray, "N"], share_N: Float[np.ndarray, "N"]):
    for number, label in enumerate(labels):
        of_label_N = share_N[label_N == number]
        if of_label_N.size:
            yield family, label, float(of_label_N.mean()), of_label_N.size


def _refined(share_N: Float[np.ndarray, "N"], document_N: Int[np.ndarray, "N"]) -> Latency:
    _, text_N = np.unique(document_N, return_inverse=True)
    is_refined_N = share_N < 1
    return Latency(float(is_refined_N.mean()), np.bincount(np.bincount(text_N, weights=is_refined_N).astype(int)))


def lines(joined: Mapping[str, Joined]) -> Iterator[str]:
    """As a person reads it."""
    for name, one in joined.items():
        first, second = one.call.experts
        yield f"\n{name} = {one.call}"
        yield f"  {one.nats:.3f} nats a token"
        yield f"  {one.floor:.3f} for the oracle switch of {first} and {second}, which knows the token: not a model"
        if one.refined is not None:
            yield f"  refined: {histogram(one.refined)}"
        if len({f"{share:.3f}" for *_, share, _ in one.shares}) == 1:
            yield f"  share of {first}: {one.shares[0][2]:.3f} of every category"
            continue
        yield f"  share of {first}, and tokens:"
        for family, label, share, tokens in one.shares:
            yield f"    {family:<20} {label:<24} {share:6.3f} {tokens:>12,}"


def histogram(found: Latency, bars: int = 8) -> str:
    """The share of refined tokens and, unless texts are few, how many of them have how many."""
    fraction = f"{found.fraction:.1%} of tokens"
    if found.sequences_K.sum() < FEWEST:
        return fraction
    size = -(-len(found.sequences_K) // bars)
    counted = {
        begin: int(found.sequences_K[begin : begin + size].sum()) for begin in range(0, len(found.sequences_K), size)
    }
    parts = [f"{begin}{f'-{begin + size - 1}' if size > 1 else ''}: {count}" for begin, count in counted.items()]
    return f"{fraction}, {found.mean:.1f} a text; texts by refined tokens: {', '.join(parts)}"


def save(joined: Mapping[str, Joined], path: epath.Path) -> None:
    """Writes all of it."""
    path.write_text(json.dumps({name: _plain(one) for name, one in joined.items()}, indent=1))


def _plain(one: Joined) -> dict:
    refined = one.refined and {
        "fraction": one.refined.fraction,
        "texts_by_refined_tokens": one.refined.sequences_K.tolist(),
    }
    return {
        "call": str(one.call),
        "nats": one.nats,
        "floor of any switch, not a model": one.floor,
        "refined": refined,
        "share": [dict(zip(("family", "label", "share", "tokens"), row)) for row in one.shares],
    }
