"""Names beside lines never lie on each other and stay near their ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from hybridlm.reports import line_names


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([0.2, 0.8], [0.2, 0.8]),  # far apart: where they end
        ([0.5, 0.5], [0.45, 0.55]),  # at one place: half a name up and half a name down
        ([0.5, 0.52, 0.9], [0.46, 0.56, 0.9]),
        ([0.98, 1.0], [0.9, 1.0]),  # not above the frame
        ([0.0, 0.0], [0.0, 0.1]),  # nor below it
    ],
)
def test_names_move_no_further_than_they_must(wanted, places):
    assert np.allclose(line_names.apart(np.array(wanted), 0.1), places)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_names_keep_their_order_and_their_distance(ends):
    places = line_names.apart(np.sort(np.array(ends)), 0.04)
    assert (np.diff(places) >= 0.04 - 1e-9).all()
    assert places.min() >= 0 and places.max() <= 1 + 1e-9, "twenty-five such names have room"


def test_every_line_has_its_name_at_its_end():
    axis = Figure().subplots()
    for name, ends in {"low": [5, 1], "high": [5, 2]}.items():
        axis.plot([0, 1], ends, label=name, color="#0072b2")
    line_names.write(axis, 3.0)
    low, high = axis.texts
    assert (low.get_text(), low.xy) == ("low", (1, 1)) and (high.get_text(), high.xy) == ("high", (1, 2))
    assert low.xyann[1] < high.xyann[1]
