"""What came out: documents, megabytes and overlap of every domain, and whether it is the standard text."""

from etils import epath
from rich.console import Console
from rich.table import Table

from experiments.standard_corpus import lock, write

_SPLITS = ("train", "validation", "test")
_CAPTION = "overlap: the longer held-out lines that stand in train"


def show_table(output: epath.Path, console: Console | None = None) -> None:
    """Prints the statistics of a corpus."""
    table = Table(title=f"standard corpus in {output}", box=None, caption=_CAPTION)
    table.add_column("domain", no_wrap=True)
    for heading in (*_SPLITS, "dropped", "MB", "overlap", "as recorded"):
        table.add_column(heading, justify="right")
    standard = lock.read_domains()
    for domain, found in write.read(output / write.STATS).items():
        counts = [f"{found['documents'].get(name, 0):,}" for name in (*_SPLITS, "dropped")]
        size = sum(found["bytes"].values()) / 1e6
        is_standard = "yes" if found["sha256"] == standard[domain] else "no"
        table.add_row(domain, *counts, f"{size:.1f}", f"{found['held_out_line_overlap']:.1%}", is_standard)
    (console or Console()).print(table)
