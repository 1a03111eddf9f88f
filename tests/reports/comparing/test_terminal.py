"""The terminal table as text."""

import io

import pytest
from rich.console import Console

from hybridlm.reports.comparing.terminal import show


def printed(found, width=130) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(found, console)
    return console.file.getvalue()


def test_a_line_has_the_numbers_of_its_row(compared):
    found, _ = compared
    (line,) = (line.split() for line in printed(found).splitlines() if line.strip().startswith("word"))
    row = next(row for row in found.rows if row.label == "word")
    assert line[1:5] == [f"{row.count:,}", f"{row.baseline:.3f}", f"{row.mean:.3f}", f"{row.gap:+.4f}"]
    assert line[5:8] == [f"{row.low:+.4f}", "to", f"{row.high:+.4f}"] and "differs" in line and "outside" in line


def test_few_groups_and_notes_are_told(compared):
    text = printed(compared[0])
    assert any("prose" in line and "†" in line for line in text.splitlines())
    assert "seeds: only 1 placebo pair" in text
    assert "recall efficiency of model" in text or not compared[0].recall


@pytest.mark.parametrize("width", [100, 80])
def test_a_narrow_terminal_keeps_gap_and_verdict(compared, width):
    text = printed(compared[0], width)
    assert max(map(len, text.splitlines())) <= width
    assert all(f"{row.gap:+.4f}" in text for row in compared[0].rows)
