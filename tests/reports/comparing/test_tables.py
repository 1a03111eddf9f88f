"""CSV and LaTeX hold what the record holds."""

import csv
import dataclasses
import io

import pytest

from hybridlm.reports import blocks
from hybridlm.reports.comparing import tables


def test_the_csv_has_every_number_of_every_row(compared):
    found, _ = compared
    lines = list(csv.DictReader(io.StringIO(tables.csv(found))))
    assert len(lines) == len(found.rows)
    for line, row in zip(lines, found.rows):
        assert (line["model"], line["family"], line["label"], line["verdict"]) == (
            *(row.model, row.family, row.label, row.verdict),
        )
        for name in ("gap", "low", "high", "p", "p_all", "share", "band_low", "seeds_high", "count"):
            assert float(line[name]) == pytest.approx(getattr(row, name), rel=1e-9)
        assert (line["adjusted"] == "") == (row.adjusted is None)
        assert (line["is_p_least"], line["why"]) == (str(row.is_p_least), row.why)


def test_latex_has_a_table_per_family_and_a_line_per_label(compared):
    found, _ = compared
    text = tables.latex(found)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 3
    (word,) = (line for line in text.splitlines() if line.startswith("word &"))
    row = next(row for row in found.rows if row.label == "word")
    assert word == (
        f"word & {row.count:,} & {row.baseline:.3f} & {row.mean:.3f} & ${row.gap:+.4f}$ & "
        f"$[{row.band_low:+.4f}, {row.band_high:+.4f}]$ & $\\leq$0.006 & differs \\\\"
    )


def test_names_cannot_break_latex(compared):
    found, _ = compared
    rows = tuple(dataclasses.replace(row, label=r"50%_$x\{&") if row.label == "word" else row for row in found.rows)
    text = tables.latex(dataclasses.replace(found, rows=rows))
    assert r"50\% \$x\textbackslash{}\{\& &" in text


def test_small_clusters_are_marked(compared):
    found, _ = compared
    assert r"prose$^\dagger$ &" in tables.latex(found), "18 groups"
    assert r"word$^\dagger$" not in tables.latex(found)


@pytest.mark.parametrize(("p", "text"), [(None, "–"), (0.0004, "<0.001"), (0.0312, "0.032"), (1.0, "1.000")])
def test_chances_read_as_people_write_them(p, text):
    assert tables.chance(p) == text


def test_a_chance_is_rounded_up_so_that_what_is_printed_agrees_with_the_verdict():
    assert [tables.chance(p) for p in (0.0496, 0.05, 0.0501, 0.029)] == ["0.050", "0.050", "0.051", "0.029"]


@pytest.mark.parametrize(("p", "text"), [(2 / 120, "≤0.017"), (2 / 64, "≤0.032"), (0.0001, "<0.001")])
def test_the_least_chance_that_flips_can_show_is_no_value_but_a_bound(p, text):
    assert tables.chance(p, is_least=True) == text


def test_ranges_in_names_have_dashes():
    assert blocks.words("4_15") == "4–15" and blocks.words("word_class") == "word class"
