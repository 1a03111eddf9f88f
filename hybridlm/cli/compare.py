"""`hybridlm compare`: per-token scores of any engines on one text, category by category."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hybridlm.cli.flags import Parser
from hybridlm.config.errors import require

if TYPE_CHECKING:
    from hybridlm.reports.comparing.rows import Settings

DESCRIPTION = """\
Compares token scores with those of a baseline on the same text: gaps by category with intervals, p-values and verdicts
that hold for all categories at once, and the text itself coloured by who predicts it better.

  hybridlm compare runs/a runs/b --output=runs/a_and_b                        a is the baseline
  hybridlm compare a.parquet b.parquet c.parquet --baseline=c.parquet --output=out --margin=0.02
  hybridlm compare runs/a@ar runs/b@ar --filter="content & ~copy1" --seeds=runs/a:runs/a2 --output=out

A file is a table of token scores (docs/token-scores.md), or a directory with one; FILE@READING picks a reading of it.
A published model beside a run of yours: docs/compare.md says what makes the two comparable.
Writes comparison.html, comparison.json, comparison.csv, comparison.tex, methods.txt and plots/ to --output.
"""


def run(argv: Sequence[str]) -> int:
    """Compares; returns the exit code."""
    flags, overrides = _parser().read(argv)
    require(not overrides, f"--config.{next(iter(overrides), '')} has no effect here: compare reads no config.")

    from hybridlm.config.exit_codes import ExitCode
    from hybridlm.reports.comparing.run import compare

    settings = _settings(flags)
    with _progress() as advance:
        found, text = compare(flags.files, flags.baseline, settings, advance)
    from hybridlm.reports.comparing import report  # plots take a second to import, which no mistake should wait for

    report.write(found, text, flags.output, is_whole=flags.all)
    return ExitCode.DONE


def _parser() -> Parser:
    parser = Parser("compare", DESCRIPTION)
    parser.add_argument("files", nargs="+", help="token files, or directories with one")
    parser.add_argument("--output", required=True, help="directory for the report")
    parser.add_argument("--baseline", default="", help="which of the files the others are held against; the first")
    parser.add_argument(
        "--margin", type=float, default=0.01, help="largest gap that would not matter, in nats per token or byte"
    )
    parser.add_argument("--families", default="", help="families to show, with commas; all by default")
    parser.add_argument("--filter", default="all", help='which tokens count, such as "content & ~copy1"')
    parser.add_argument("--adjust", default="", help="families that the regression holds fixed, with commas")
    parser.add_argument("--seeds", default="", help="placebo pairs A:B,C:D that differ in seed alone")
    parser.add_argument("--placebo", default="", help="placebo pairs A:B of which B is trained more, or larger")
    parser.add_argument("--seed", type=int, default=0, help="of all random draws")
    parser.add_argument("--all", action="store_true", help="print every family, not only those one looks at first")
    return parser


def _settings(flags: argparse.Namespace) -> "Settings":
    from hybridlm.reports.comparing.paths import pairs
    from hybridlm.reports.comparing.rows import Settings

    return Settings(
        margin=flags.margin,
        families=_names(flags.families),
        filter=flags.filter,
        adjust=_names(flags.adjust),
        seeds=pairs(flags.seeds, "--seeds"),
        placebo=pairs(flags.placebo, "--placebo"),
        seed=flags.seed,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


@contextlib.contextmanager
def _progress():
    """Says what is being done: a bar with the time left on a terminal, a line for each stage in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    if not sys.stderr.isatty():
        yield _line_by_stage()
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None)
        yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total)


def _line_by_stage():
    said = set()

    def report(what: str, done: int, total: int) -> None:
        if what not in said:
            said.add(what)
            print(f"{what} ({done / total:.0%})", file=sys.stderr)

    return report
