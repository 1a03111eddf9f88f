"""Training curves: which metrics are drawn, where, and under which name."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from hybridlm.reports import curves, plots
from hybridlm.reports.scores import Column

FAMILIES = {"bracket": ["open", "close"], "digits": ["none"]}
READINGS = [Column(name=name, kind="exact", sees="") for name in ("ar", "ar after prefix", "unigram")]


@pytest.fixture
def metrics() -> pd.DataFrame:
    steps = np.arange(1, 601)
    return pd.DataFrame(
        {
            "step": steps,
            "learning_rate": 0.1,
            "loss/ar": 5.0 - steps / 600,
            "loss/masked": 6.0 - steps / 600,
            "validation/loss/ar": np.where(steps % 100 == 0, 4.5, np.nan),
            "validation/loss/ar_after_prefix": np.where(steps % 100 == 0, 4.25, np.nan),
            "validation/loss/unigram": np.where(steps % 100 == 0, 6.0, np.nan),
            "nll/ar/bracket/open": 2.0,
            "nll/ar/bracket/close": 1.0,
            "nll/ar/digits/none": 3.0,
            "nll/masked/bracket/open": 4.0,
            "nll/ar/script/latin": 4.0,
            "nll/ar/script/greek": 4.0,
            "filtered/ar/new_content": 3.5,
            "filtered/ar/copy5_only": 0.5,
            "filtered/masked/new_content": 4.5,
        }
    )


LOOKS = {
    name: {"color": color, "marker": "o", "markersize": 5}
    for name, color in (
        ("ar after prefix", "#0000ff"),
        ("masked", "#00ff00"),
        ("ar", "#ff0000"),
        ("unigram", plots.GREY),
    )
}


def drawn(axis) -> dict[str, int]:
    """Label of every line and how many points it has."""
    assert {text.get_text() for text in axis.texts} == {line.get_label() for line in axis.lines}, "each has a name"
    assert axis.get_legend() is None, "and nothing lies on the lines"
    return {line.get_label(): len(line.get_xdata()) for line in axis.lines}


def panels(figure) -> dict[str, set[str]]:
    return {axis.get_title(loc="left"): set(drawn(axis)) for axis in figure.axes}


def test_a_line_that_a_killed_run_left_half_written_is_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss/ar": 2.0}) + '\n{"step": 2, "lo')
    assert curves.read(tmp_path / "metrics.jsonl").to_dict("records") == [{"step": 1, "loss/ar": 2.0}]


def test_losses_are_drawn_by_objective_and_held_out_text_beside_them(metrics):
    """Readings have the names of the page, and each name has one colour on both sides."""
    training, held_out = curves.losses(curves.named(metrics, READINGS), LOOKS).axes
    assert drawn(training) == {"ar": 200, "masked": 200}
    assert drawn(held_out) == {"ar": 6, "ar after prefix": 6, "unigram": 6}
    for line in [*training.lines, *held_out.lines]:
        assert line.get_color() == LOOKS[line.get_label()]["color"]
    assert training.get_ylim() == held_out.get_ylim() and training.get_xlim() == held_out.get_xlim()


def test_text_that_was_read_once_has_no_curve(metrics):
    """What it cost stands in the table."""
    once = metrics.assign(**{"validation/loss/ar": np.where(metrics.step == 600, 4.5, np.nan)})
    figure = curves.losses(once.drop(columns=["validation/loss/ar_after_prefix", "validation/loss/unigram"]), LOOKS)
    assert panels(figure) == {"training batches": {"ar", "masked"}}


def test_every_axis_says_what_it_is(metrics):
    figure = curves.losses(metrics.filter(regex="^(step|loss)"), LOOKS)
    assert [(axis.get_xlabel(), axis.get_ylabel()) for axis in figure.axes] == [("step", "nats per predicted token")]


def test_all_points_are_inside_the_frame(metrics):
    named = curves.named(metrics, READINGS)
    shown = [
        curves.losses(named, LOOKS),
        curves.filtered(named, LOOKS),
        *curves.categories(named, LOOKS, FAMILIES).values(),
    ]
    for axis in (axis for figure in shown for axis in figure.axes):
        (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
        for line in axis.lines:
            x, y = line.get_xydata().T
            assert left + 0.02 * (right - left) < x.min() and x.max() < right - 0.02 * (right - left)
            assert low + 0.02 * (high - low) < y.min() and y.max() < high - 0.02 * (high - low)


def test_long_series_are_averaged_not_cut(metrics):
    axis = curves.losses(metrics.filter(regex="^(step|loss)"), LOOKS).axes[0]
    line = next(line for line in axis.lines if line.get_label() == "ar")
    assert line.get_xdata()[[0, -1]].tolist() == [2, 599]
    assert np.isclose(line.get_ydata().mean(), metrics["loss/ar"].mean())


def test_filtered_losses_are_small_multiples_by_objective(metrics):
    assert panels(curves.filtered(metrics, LOOKS)) == {"ar": {"new content", "copy5 only"}, "masked": {"new content"}}
    assert curves.filtered(metrics[["step", "loss/ar"]], LOOKS) is None


def test_categories_are_small_multiples_by_family_for_each_objective(metrics):
    """Of the families asked for; one label alone, as of digits, would repeat the loss."""
    figures = curves.categories(metrics, LOOKS, FAMILIES)
    assert {name: panels(figure) for name, figure in figures.items()} == {"ar": {"bracket": {"open", "close"}}}
    assert curves.categories(metrics, LOOKS, {"bracket": ["open"]}) == {}, "of the labels asked for"


def test_classes_are_shades_of_the_colour_of_their_objective(metrics):
    """A hue means an objective on the whole page: here red, for the classes of `ar`."""
    (axis,) = curves.categories(metrics, LOOKS, FAMILIES)["ar"].axes
    light, dark = (to_rgb(line.get_color()) for line in axis.lines)
    assert light[0] == 1 and light[1] == light[2] > 0, "with white"
    assert dark[1] == dark[2] == 0 < dark[0] < 1, "with black"


def test_a_loss_that_never_was_a_number_is_left_out(metrics):
    """As of a run that diverged before its first line: the log writes null."""
    assert panels(curves.losses(metrics[["step", "loss/ar"]].assign(**{"loss/masked": None}), LOOKS)) == {
        "training batches": {"ar"}
    }


def test_metrics_without_losses_draw_nothing(metrics):
    assert curves.losses(metrics[["step", "learning_rate"]], LOOKS) is None
    assert curves.categories(metrics[["step", "learning_rate"]], LOOKS, FAMILIES) == {}


def test_all_that_is_drawn_is_named_once(metrics):
    named = curves.named(metrics, READINGS)
    assert curves.names(named) == ["ar", "masked", "ar after prefix", "unigram"]
