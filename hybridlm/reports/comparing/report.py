"""Writes every form of a comparison to a directory, and prints its table."""

from etils import epath
from rich.console import Console

from hybridlm.reports import comparison
from hybridlm.reports.comparing import html, plots, tables, terminal
from hybridlm.reports.comparing.aligned import Aligned
from hybridlm.reports.comparing.passages import passages
from hybridlm.reports.comparison import Comparison


def write(
    found: Comparison,
    text: Aligned,
    directory: epath.PathLike,
    console: Console | None = None,
    *,
    is_whole: bool = False,
) -> None:
    """Record, tables, methods, plots and page; the record and the CSV are the same bytes each time."""
    directory = epath.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    comparison.save(found, directory / comparison.FILE)
    tables.write(found, directory)
    (directory / "methods.txt").write_text(found.methods + "\n")
    (directory / "comparison.html").write_text(html.render(found, passages(text)))
    plots.write(found, directory / "plots")
    terminal.show(found, console, is_whole=is_whole)
    print(f"\ncomparison: {directory / 'comparison.html'}")
