"""The terminal table as text."""

import dataclasses
import io

import pytest
from rich.console import Console

from hybridlm.reports.comparing.terminal import show


def printed(found, width=130, **options) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    show(found, console, **options)
    return console.file.getvalue()


def with_word(found, **changes):
    """The record with another row for words."""
    return dataclasses.replace(
        found, rows=tuple(dataclasses.replace(row, **changes) if row.label == "word" else row for row in found.rows)
    )


def test_a_line_has_the_numbers_of_its_row(compared):
    found, _ = compared
    (line,) = (line.split() for line in printed(found).splitlines() if line.strip().startswith("word"))
    row = next(row for row in found.rows if row.label == "word")
    assert line[1:5] == [f"{row.count:,}", f"{row.baseline:.3f}", f"{row.mean:.3f}", f"{row.gap:+.4f}"]
    assert line[5:8] == [f"{row.band_low:+.4f}", "to", f"{row.band_high:+.4f}"]
    assert line[8:] == ["≤0.006", "differs", "outside", row.placebo_place]


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


def test_an_undecided_gap_says_why_and_what_to_do(compared):
    unknown = with_word(
        compared[0], verdict="undecided", why="few groups", band_low=None, band_high=None, p_all=0.125, clusters=4
    )
    text = printed(unknown)
    (line,) = (line.split() for line in text.splitlines() if line.strip().startswith("word"))
    assert line[5:8] == ["–†", "≤0.125", "undecided¹"]
    assert "undecided¹ few groups: even if all its groups agreed, they would be too few to tell; score text of" in text


@pytest.mark.parametrize(
    ("changes", "is_bold"), [({}, True), ({"clusters": 29}, False), ({"verdict": "undecided"}, False)]
)
def test_bold_is_what_differs_on_enough_groups(compared, changes, is_bold):
    console = Console(file=io.StringIO(), width=130, force_terminal=True, color_system="standard")
    show(with_word(compared[0], **changes), console)
    (line,) = (line for line in console.file.getvalue().splitlines() if line.strip().startswith("word"))
    assert ("\x1b[1m" in line) == is_bold
    assert "Bold: it differs, on 30 groups or more." in printed(compared[0])


def test_families_to_look_at_first_are_printed_and_the_others_named(compared):
    """`kind` is the user's own, `domain` one of the first, `capitals` one of ours that is none of them."""
    found = compared[0]
    also = dataclasses.replace(found.rows[-1], family="capitals", label="capitalised")
    more = dataclasses.replace(
        found, rows=(*found.rows, also), families={**found.families, "capitals": found.families["domain"]}
    )
    text = printed(more)
    assert "word" in text and "prose" in text and "capitalised" not in text
    assert "not printed, but in the files of the report: capitals. --all prints them too." in text
    whole = printed(more, is_whole=True)
    assert "capitalised" in whole and "--all" not in whole
    assert "capitalised" in printed(dataclasses.replace(more, settings={**found.settings, "families": ["capitals"]}))
