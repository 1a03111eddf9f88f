"""The last lines of an evaluation: what every reading costs in all, where that is written, and what to type next."""

import shlex
from collections.abc import Iterator, Sequence

from etils import epath

from hybridlm.reports.blocks import ordered
from hybridlm.reports.scores import ALL, ALL_TARGETS, Column, Row, Scores

OTHER, MEANING = "OTHER", " (OTHER: the directory of another evaluation of this text)"
"""What stands in a command for that which nobody knows here."""


def lines(scores: Scores, directory: epath.Path, page: str, files: Sequence[str]) -> Iterator[str]:
    """Two lines; `page` and `files` lie in the directory."""
    yield f"overall, in nats per token: {', '.join(_overall(scores))}"
    yield f"report: {directory / page}, beside it {', '.join(files)}"


def next_of(scores: Scores, directory: epath.Path) -> str:
    """The line that says how to compare readings of the report, or the report with another."""
    paths = _comparable(scores, directory)
    return f"{comparison(paths, directory)}{MEANING if OTHER in paths else ''}"


def comparison(paths: Sequence[epath.PathLike], directory: epath.Path) -> str:
    """The line with the command that compares token files with the first of them."""
    return "next: " + shlex.join(["hybridlm", "compare", *map(str, paths), f"--output={directory / 'compared'}"])


def _overall(scores: Scores) -> Iterator[str]:
    total = {row.column: row for row in scores.rows if row.family == ALL}
    for column in _alike(scores):
        if column.name in total:
            yield f"{column.name} {_told(total[column.name])} ({column.kind})"


def _alike(scores: Scores) -> Sequence[Column]:
    """The readings of all tokens with their baseline, or where none has all, those with the targets of the first."""
    targets = [column.targets for column in ordered(scores) if not column.is_baseline]
    wanted = ALL_TARGETS if ALL_TARGETS in targets else targets[0]
    return [column for column in ordered(scores) if column.targets == wanted]


def _told(row: Row) -> str:
    """`4.534 [4.31, 4.79]`: the mean and both ends of its interval, where there is one."""
    ends = "" if row.low is None or row.high is None else f" [{row.low:.3f}, {row.high:.3f}]"
    return f"{row.mean:.3f}{ends}"


def _comparable(scores: Scores, directory: epath.Path) -> Sequence[str]:
    """All readings of the first kind that has several, the baseline first where it has one; else the report and
    another."""
    columns = sorted(_alike(scores), key=lambda column: not column.is_baseline)
    for first in columns:
        alike = [f"{directory}@{column.name}" for column in columns if column.kind == first.kind]
        if len(alike) > 1:
            return alike
    return str(directory), OTHER
