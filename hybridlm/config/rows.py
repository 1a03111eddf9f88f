"""How many rows of a step each objective of a mixture gets: known with the config, so that shapes are static."""

import dataclasses
import itertools
from collections.abc import Mapping

from hybridlm.config.errors import require
from hybridlm.config.objective import Objective

NAMED = 3
"""How many numbers of rows a refusal names."""


@dataclasses.dataclass(frozen=True)
class Allocation:
    """Attributes:
    rows: rows of text per objective. streams: width of a network row in rows of text, 2 if any objective needs two.
    wide: network rows per step. order: for each network row, the objective (by number) it belongs to.
    """

    rows: dict[str, int]
    streams: int
    wide: int
    order: tuple[int, ...]


def allocate(objectives: Mapping[str, Objective], batch_rows: int) -> Allocation:
    """Divides `batch_rows` rows of text so that shares of *possible targets* come nearest to the ratios.

    Where one objective needs a clean and a noisy stream, every network row is twice as long, and objectives with one
    stream put two rows of text, which stay separate documents, into it. Rows of all objectives are spread evenly over
    the batch.
    """
    uniform = [name for name, objective in objectives.items() if objective.corruption == "uniform"]
    require(
        len(uniform) in (0, len(objectives)),
        f"objectives.{', '.join(uniform)} with corruption='uniform' has a per-token loss of its own, which a step "
        "applies to all its tokens; train it alone, or take corruption='absorbing' for a mixture.",
    )
    streams = max(objective.streams for objective in objectives.values())
    unit = {name: streams // objective.streams for name, objective in objectives.items()}
    wanted = {name: objective.ratio / objective.targets_per_token for name, objective in objectives.items()}
    exact = {name: batch_rows * want / sum(wanted.values()) / unit[name] for name, want in wanted.items()}
    require(
        sum(unit.values()) <= batch_rows,
        f"training.batch_rows={batch_rows} cannot be divided among {len(unit)} objectives, which take rows in units of "
        f"{unit}; use at least --config.training.batch_rows={sum(unit.values())}.",
    )
    behind = 2 * sum(unit.values())  # so far below its share none would be left: the search starts where it is short
    units = {name: max(1, int(share) - behind) for name, share in exact.items()}
    # an objective whose unit is one row always exists, so this ends with no row left
    while fits := [name for name in unit if unit[name] <= batch_rows - sum(units[part] * unit[part] for part in unit)]:
        units[max(fits, key=lambda name: exact[name] - units[name])] += 1
    rows = {name: units[name] * unit[name] for name in objectives}
    spread = sorted(
        ((k + 0.5) / units[name], number) for number, name in enumerate(objectives) for k in range(units[name])
    )
    return Allocation(rows, streams, sum(units.values()), tuple(number for _, number in spread))


def divides(objectives: Mapping[str, Objective], batch_rows: int, parts: int) -> bool:
    """Does a step fall into so many equal parts?"""
    return allocate(objectives, batch_rows).wide % parts == 0


def refusal(objectives: Mapping[str, Objective], batch_rows: int, length: int, accumulate: int, ways: int) -> str:
    """Why a step does not fall into passes over so many devices, and which numbers of rows do; empty where it does."""
    step, parts = allocate(objectives, batch_rows), accumulate * ways
    if divides(objectives, batch_rows, parts):
        return ""
    larger = range(batch_rows + 1, batch_rows + 4 * parts * step.streams + 1)
    fits = (n for n in larger if n % accumulate == 0 and divides(objectives, n, parts))
    holds = " (two of text, or one and its noisy copy)" if step.streams == 2 else ""
    return (
        f"a step has {step.wide} rows of {step.streams} x {length} tokens{holds}, which training.accumulate="
        f"{accumulate} x mesh.replica x mesh.data x mesh.fsdp = {parts} does not divide; change "
        f"--config.training.batch_rows={batch_rows} to one of {list(itertools.islice(fits, NAMED))}"
    )
