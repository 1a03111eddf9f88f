"""Names beside the ends of lines, in place of a legend: each as near to its end as the others leave room for."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from hybridlm.reports.plots import tone

_LINE = 0.18
"""Inches from one name to the next."""


def write(axis: Axes, height: float) -> None:
    """Names every line to the right of the axes, which are so many inches high; a thread leads from end to name."""
    low, high = axis.get_ylim()
    ends_N = np.array([line.get_ydata()[-1] for line in axis.lines])
    order_N = np.argsort(ends_N, kind="stable")
    places_N = apart((ends_N[order_N] - low) / (high - low), _LINE / height)
    for number, place in zip(order_N, places_N):
        line = axis.lines[number]
        axis.annotate(
            line.get_label(),
            xy=(line.get_xdata()[-1], ends_N[number]),
            xytext=(1.05, place),
            textcoords="axes fraction",
            va="center",
            fontsize=9.5,
            color=tone(line.get_color(), 0.6, 0.0),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4},
        )


def apart(wanted_N: Float[np.ndarray, "N"], least: float) -> Float[np.ndarray, "N"]:
    """Places from 0 to 1, no two nearer than `least`, around where they were wanted: midway between pushing all that
    are too near up and pushing them down."""
    steps_N = least * np.arange(len(wanted_N))
    up_N = np.maximum.accumulate(wanted_N - steps_N)
    down_N = np.minimum.accumulate((wanted_N - steps_N)[::-1])[::-1]
    return np.clip((up_N + down_N) / 2, 0, max(0, 1 - steps_N[-1])) + steps_N
