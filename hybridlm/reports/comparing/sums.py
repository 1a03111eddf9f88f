"""Aligned readings as sums per cluster and category: what all statistics of a comparison are made from."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from hybridlm.categories import filters
from hybridlm.config.errors import ConfigError, require
from hybridlm.reports.comparing.aligned import Aligned
from hybridlm.reports.scores import ALL
from hybridlm.reports.token_file import Family
from hybridlm.statistics.sums import Sums, joint_cluster_sums

PIECE = 2**17
"""Rows that are added up at a time."""

FILTERED = ("content_no_copy", "function_no_copy", "copy5_only")
"""Filtered losses that stand in every report whose labels can tell them."""

Advance = Callable[[int], None]
"""Hears how many rows are done."""


@dataclasses.dataclass(frozen=True)
class Named:
    """A family as `categories.filters` reads one."""

    name: str
    labels: Mapping[str, str]
    is_ordered: bool


def slices(rows: int, advance: Advance) -> Iterator[slice]:
    """Pieces of all rows in order."""
    for first in range(0, rows, PIECE):
        yield slice(first, min(first + PIECE, rows))
        advance(min(PIECE, rows - first))


def select(text: Aligned, expression: str) -> np.ndarray:
    """Which rows a filter lets through, by the families of the files."""
    named = [Named(name, family.labels, family.is_ordered) for name, family in text.families.items()]
    require(bool(named), f"--filter={expression!r} needs labels, but no compared file has any `label/...` column.")
    return filters.parse(expression, named).select(text.label, named)


def with_filtered(text: Aligned) -> Aligned:
    """The same rows with a family of two labels for each filtered loss that their labels can tell."""
    families, label = dict(text.families), dict(text.label)
    for name in FILTERED:
        try:
            is_selected_T = select(text, name)
        except ConfigError:
            continue
        expression = filters.PRESETS[name]
        families[name] = Family(labels={"rest": "all other tokens", name: expression}, question=f"Is it {expression}?")
        label[name] = is_selected_T.astype(np.int8)
    return dataclasses.replace(text, families=families, label=label)


def categories(text: Aligned) -> tuple[tuple[str, str], ...]:
    """(family, label) of every column of the sums, all rows first."""
    named = ((name, label) for name, family in text.families.items() for label in family.labels)
    return ((ALL, ALL), *named)


def flat_labels(text: Aligned, cut: slice) -> Int[np.ndarray, "M T"]:
    """The column of the sums that each row of a piece counts in, once in every family and once in all."""
    flat, first = [np.zeros(cut.stop - cut.start, np.int32)], 1
    for name, family in text.families.items():
        flat.append(text.label[name][cut].astype(np.int32) + first)
        first += len(family.labels)
    return np.stack(flat)


def sums(text: Aligned, advance: Advance = lambda rows: None) -> dict[str, Sums]:
    """The sums of every reading, by name."""
    names, (count_NC, *costs) = categories(text), joint_sums(text, [text.count_T, *text.cost.values()], advance)
    total = dict(zip(text.cost, costs, strict=True))
    is_here_N = count_NC[:, 0] > 0
    return {
        source.name: Sums(
            total_NC=total[source.name][is_here_N],
            count_NC=count_NC[is_here_N],
            categories=names,
            data=text.data,
            kind=source.kind,
            unit=text.unit,
        )
        for source in text.sources
    }


def joint_sums(text: Aligned, columns: Sequence[np.ndarray], advance: Advance) -> Float[np.ndarray, "K N C"]:
    """The sums of several values of each row by cluster and category, in one pass."""
    names, clusters = categories(text), len(text.baseline.tokens.groups)
    total_NCK = np.zeros((clusters, len(names), len(columns)))
    for cut in slices(len(text.row_T), advance):
        value_TK = np.stack([column_T[cut].astype(np.float64) for column_T in columns], axis=1)
        # rows of a piece come from few clusters
        here, local_T = np.unique(text.cluster_T[cut], return_inverse=True)
        shape = {"clusters": len(here), "categories": len(names)}
        total_NCK[here] += joint_cluster_sums(value_TK, local_T, flat_labels(text, cut), **shape)
    return np.moveaxis(total_NCK, -1, 0)


def part(whole: Sums, family: str, *, first: int = 0) -> Sums:
    """The columns of one family, from label `first` on."""
    columns = [c for c, (name, _) in enumerate(whole.categories) if name == family][first:]
    return dataclasses.replace(
        whole,
        total_NC=whole.total_NC[:, columns],
        count_NC=whole.count_NC[:, columns],
        categories=tuple(whole.categories[c] for c in columns),
    )
