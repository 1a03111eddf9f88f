"""Training curves: which metrics are drawn, where, and under which name."""

import json

import numpy as np
import pandas as pd
import pytest

from hybridlm.reports import curves


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
            "nll/ar/bracket/open": 2.0,
            "nll/ar/bracket/close": 1.0,
            "nll/ar/digits/none": 3.0,
            "nll/masked/bracket/open": 4.0,
            "filtered/ar/new_content": 3.5,
            "filtered/ar/copy5_only": 0.5,
            "filtered/masked/new_content": 4.5,
        }
    )


def drawn(axis) -> dict[str, int]:
    """Label of every line and how many points it has."""
    assert len(axis.get_legend().get_texts()) == len(axis.lines), "every series needs a label"
    return {line.get_label(): len(line.get_xdata()) for line in axis.lines}


def test_a_line_that_a_killed_run_left_half_written_is_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss/ar": 2.0}) + '\n{"step": 2, "lo')
    assert curves.read(tmp_path / "metrics.jsonl").to_dict("records") == [{"step": 1, "loss/ar": 2.0}]


def test_losses_are_drawn_by_objective(metrics):
    (axis,) = curves.losses(metrics).axes
    assert drawn(axis) == {"ar": 200, "masked": 200, "ar (validation)": 6}
    colors = {line.get_label(): line.get_color() for line in axis.lines}
    assert colors["ar"] == colors["ar (validation)"] != colors["masked"]


def test_long_series_are_averaged_not_cut(metrics):
    (axis,) = curves.losses(metrics).axes
    line = next(line for line in axis.lines if line.get_label() == "ar")
    assert line.get_xdata()[[0, -1]].tolist() == [2, 599]
    assert np.isclose(line.get_ydata().mean(), metrics["loss/ar"].mean())


def test_filtered_losses_are_small_multiples_by_objective(metrics):
    axes = curves.filtered(metrics).axes
    assert {axis.get_title(loc="left"): set(drawn(axis)) for axis in axes} == {
        "ar": {"new content", "copy5 only"},
        "masked": {"new content"},
    }
    assert curves.filtered(metrics[["step", "loss/ar"]]) is None


def test_categories_are_small_multiples_by_family_for_each_objective(metrics):
    figures = curves.categories(metrics)
    assert {
        name: {axis.get_title(loc="left"): set(drawn(axis)) for axis in figure.axes} for name, figure in figures.items()
    } == {"ar": {"bracket": {"open", "close"}, "digits": {"none"}}, "masked": {"bracket": {"open"}}}


def test_metrics_without_losses_draw_nothing(metrics):
    assert curves.losses(metrics[["step", "learning_rate"]]) is None
    assert curves.categories(metrics[["step", "learning_rate"]]) == {}
