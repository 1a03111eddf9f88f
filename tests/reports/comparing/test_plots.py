"""Figures: dots where the record says, envelopes behind them, and a file of each."""

import numpy as np

from hybridlm.reports.comparing import plots


def dots(axis):
    return {
        round(float(bar.lines[0].get_ydata()[0]), 3): float(bar.lines[0].get_xdata()[0])
        for bar in axis.containers
        if hasattr(bar, "lines")
    }


def test_gaps_lie_where_the_record_says(compared):
    found, _ = compared
    (axis,) = plots.forest(found, "kind").axes
    rows = found.rows_of("model", "kind")
    assert [label.get_text() for label in axis.get_yticklabels()] == ["word", "digit", "bracket"]
    assert np.allclose(list(dots(axis).values()), [row.gap for row in rows])


def test_envelopes_lie_behind_the_gaps(compared):
    found, _ = compared
    (axis,) = plots.forest(found, "kind").axes
    boxes = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in axis.patches)
    rows = found.rows_of("model", "kind")
    ends = [(row.seeds_low, row.seeds_high) for row in rows] + [(row.placebo_low, row.placebo_high) for row in rows]
    assert np.allclose(boxes, sorted(ends))


def test_a_perfect_model_would_lie_on_the_line(compared):
    found, _ = compared
    figure = plots.reliability(found)
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    names = [text.get_text().split("  ")[0] for text in figure.legends[0].get_texts()]
    assert names == ["base", "model"]


def test_every_figure_is_written_twice(compared, tmp_path):
    found, _ = compared
    plots.write(found, tmp_path / "plots")
    names = {file.name for file in (tmp_path / "plots").iterdir()}
    stems = ("gap_all", "gap_kind", "gap_domain", "reliability", "frequency")
    assert names == {f"{stem}.{ending}" for stem in stems for ending in ("png", "pdf")}
    assert (tmp_path / "plots" / "gap_kind.pdf").read_bytes().startswith(b"%PDF")
