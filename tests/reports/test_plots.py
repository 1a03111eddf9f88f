"""Figures: every series is labelled, kinds keep to their own panels, and files are written."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from hybridlm.reports import plots


@pytest.fixture
def figure(scores):
    return plots.categories(scores, "bracket")


def every_marker_is_inside(figure) -> bool:
    """With a hundredth of the axis to spare, on every side."""
    places = [
        np.atleast_2d(axis.transAxes.inverted().transform(axis.transData.transform(line.get_xydata())))
        for axis in figure.axes
        for line in axis.lines
        if len(line.get_xydata())
    ]
    return bool(((np.concatenate(places) > 0.01) & (np.concatenate(places) < 0.99)).all())


def series(axis) -> set[str]:
    return set(axis.get_legend_handles_labels()[1])


def test_kinds_and_targets_have_panels_of_their_own(figure):
    panels = {axis.get_title(loc="left"): series(axis) for axis in figure.axes}
    assert panels == {
        "share\nall scored tokens": {"unigram", "masked"},
        "exact\nall scored tokens": {"unigram", "ar", "gated"},
        "exact\nsuffix targets": {"suffix"},
    }


def test_the_legend_names_every_series_once(scores, figure):
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(column.name for column in scores.columns)


def test_dots_and_intervals_lie_where_the_record_says(figure):
    bars = {bar.get_label(): bar for axis in figure.axes for bar in axis.containers}
    dots, _, (interval,) = bars["masked"].lines
    assert dots.get_xdata().tolist() == [3.0, 5.5]  # none, open
    assert np.allclose([segment[:, 0] for segment in interval.get_segments()], [[2.95, 3.05], [5.45, 5.55]])
    assert bars["unigram"].lines[0].get_xdata().tolist() == [6.5, 5.0]


def test_panels_have_scales_of_their_own(figure):
    """Each is as wide as its own numbers, whatever those of another kind are."""
    ranges = {axis.get_title(loc="left"): axis.get_xlim() for axis in figure.axes}
    assert np.allclose(ranges["exact\nsuffix targets"], [0.95 - 0.06 * 2.35, 3.3 + 0.06 * 2.35])
    assert np.allclose(ranges["share\nall scored tokens"], [2.95 - 0.06 * 3.6, 6.55 + 0.06 * 3.6])


def test_an_interval_far_wider_than_all_else_is_cut_with_an_arrow(scores, figure):
    is_wide = {("masked", "open"): {"low": -20.0, "high": 40.0}, ("suffix", "none"): {"low": 1.0}}
    rows = [dataclasses.replace(row, **is_wide.get((row.column, row.label), {})) for row in scores.rows]
    cut = plots.categories(dataclasses.replace(scores, rows=tuple(rows)), "bracket")
    share, _, suffix = cut.axes
    assert np.allclose(share.get_xlim(), figure.axes[0].get_xlim())
    arrows = {line.get_marker(): (list(line.get_xdata()), list(line.get_ydata())) for line in share.lines[-2:]}
    left, right = share.get_xlim()
    inset = 0.02 * (right - left)
    assert arrows == {"<": ([left + inset], [1.0]), ">": ([right - inset], [1.0])}
    assert every_marker_is_inside(cut)
    assert not any(len(line.get_xdata()) for line in suffix.lines[-2:]), "as wide as means are apart"


def test_no_marker_is_cut_by_the_frame(figure):
    assert every_marker_is_inside(figure)


def test_readings_differ_in_colour_and_in_marker(scores):
    looks = plots.looks(scores).values()
    assert len({look["color"] for look in looks}) == len({look["marker"] for look in looks}) == len(scores.columns)


def test_no_two_names_look_alike_however_many_there_are():
    looks = [plots.look(place) for place in range(49)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 49


def test_a_name_keeps_its_look_whatever_else_the_page_shows(scores):
    """Objectives that no reading has stand behind the readings; one that is a reading has its colour."""
    alone, among = plots.looks(scores), plots.looks(scores, ["masked", "unigram", "prefix"])
    assert {name: among[name] for name in alone} == alone
    assert among["prefix"]["color"] not in [look["color"] for look in alone.values()]


def test_a_figure_has_the_colours_of_the_page(scores, figure):
    looks = plots.looks(scores)
    drawn = {(bar.get_label(), bar.lines[0].get_color()) for axis in figure.axes for bar in axis.containers}
    assert drawn == {(name, look["color"]) for name, look in looks.items()}


@pytest.mark.parametrize(("ending", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_figures_are_written_in_the_format_of_the_ending(figure, tmp_path, ending, magic):
    plots.save(figure, tmp_path / f"bracket.{ending}")
    data = (tmp_path / f"bracket.{ending}").read_bytes()
    assert data.startswith(magic) and len(data) > 2_000


def test_the_same_scores_give_the_same_picture(scores, figure):
    assert plots.data_uri(figure) == plots.data_uri(plots.categories(scores, "bracket"))


def test_a_label_is_text_and_never_mathematics(scores, tmp_path):
    rows = tuple(dataclasses.replace(row, label="$x<y$") if row.label == "open" else row for row in scores.rows)
    plots.save(plots.categories(dataclasses.replace(scores, rows=rows), "bracket"), tmp_path / "a.svg")
    assert "$x&lt;y$" in (tmp_path / "a.svg").read_text()


def test_a_mask_is_drawn_cell_by_cell():
    is_visible_TS = np.tril(np.ones((3, 4), bool))
    (axis,) = plots.mask(is_visible_TS, "causal", queries=["a", "b", "c"], keys=list("wxyz")).axes
    assert np.array_equal(axis.images[0].get_array(), is_visible_TS)
    assert [label.get_text() for label in axis.get_xticklabels()] == list("wxyz")
    assert [label.get_text() for label in axis.get_yticklabels()] == list("abc")
    assert axis.get_title(loc="left") == "causal"


def test_a_large_mask_numbers_some_of_its_tokens():
    (axis,) = plots.mask(np.eye(100, dtype=bool)).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [str(n) for n in range(0, 100, 13)]


@pytest.mark.parametrize("count", [1, 2, 7, 10])
def test_a_legend_is_no_wider_than_its_figure(count):
    figure = Figure(figsize=(7.2, 4), layout="constrained")
    axis = figure.subplots()
    for place in range(count):
        axis.plot(
            [0, 1], [0, place], **plots.look(place), label=f"{place}" if place % 2 else f"test@calibrated_gate_{place}"
        )
    with plots.style():
        plots.legend(figure, [axis])
        figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert len(figure.legends[0].get_texts()) == count
