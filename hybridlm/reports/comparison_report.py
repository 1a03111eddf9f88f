"""Writes every form of a comparison to a directory, and prints its table."""

from etils import epath
from rich.console import Console

from hybridlm.reports import comparison, comparison_html, comparison_plots, comparison_tables, comparison_terminal
from hybridlm.reports.aligned import Aligned
from hybridlm.reports.comparison import Comparison
from hybridlm.reports.comparison_passages import passages


def write(found: Comparison, text: Aligned, directory: epath.PathLike, console: Console | None = None) -> None:
    """Record, tables, methods, plots and page; the record and the CSV are the same bytes each time."""
    directory = epath.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    comparison.save(found, directory / "comparison.json")
    comparison_tables.write(found, directory)
    (directory / "methods.txt").write_text(found.methods + "\n")
    (directory / "comparison.html").write_text(comparison_html.render(found, passages(text)))
    comparison_plots.write(found, directory / "plots")
    comparison_terminal.show(found, console)
    print(f"\ncomparison: {directory / 'comparison.html'}")
