"""Pictures of an inspection: classes by source and domain, the frequency curve and its bands, packed rows, gains."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator, PercentFormatter

from hybridlm.reports.blocks import words
from hybridlm.reports.inspection import WHOLE, Family, Frequencies, PackedRow, Part, Text
from hybridlm.reports.inspection_gains import Gain, Gains
from hybridlm.reports.plots import GREY, INK, PALETTE, SOFT, look, style, tone

_DOCUMENTS = PALETTE[:6]
_PALE, _PADDING = "#f3f5f8", "#d5dae1"
_TONES = ((1.0, 0.0), (0.5, 1.0), (0.6, 0.0), (0.25, 1.0))
"""How much of a hue is in a tone, and what the rest is: 0 black, 1 white."""

_MOST, _MOST_COLOR = 0.5, "#dfe3e8"
"""Share from which a label is the background that the others stand before."""

_WRITTEN = 0.07
"""Share from which a bar has room for its number."""

_BANDS = (_PALE, "#ffffff")
"""Shades of neighbouring bands: grey, as the colours of a page belong to classes, and bands have their names above."""

_LONGEST = 26
"""Characters of a name beside a bar."""


def pictures(text: Text | None, gains: Gains | None) -> dict[str, Callable[[], Figure]]:
    """File name without its ending -> how to draw it."""
    found = {}
    if text:
        found |= {"frequencies": functools.partial(curve, text.frequencies), "rows": functools.partial(rows, text.rows)}
        found |= {f"classes-{f.name}": functools.partial(classes, f, text.parts) for f in text.families}
    if gains and gains.gains:
        found["gains"] = functools.partial(expected, gains)
    return found


def colors(family: Family) -> list[str]:
    """A colour for every label: neighbours differ in hue, and what most of the text is stays pale."""
    hues = itertools.cycle(tone(hue, *mixed) for mixed in _TONES for hue in PALETTE[:6])
    return [
        _MOST_COLOR if family.share(label) > _MOST or not label.tokens[WHOLE] else next(hues) for label in family.labels
    ]


def short(name: str) -> str:
    """A name, its end if it is long: of a path, the end tells."""
    if len(name) <= _LONGEST:
        return name
    end = name[1 - _LONGEST :]
    return f"…{end[max(0, end.find('/')) :]}"


def classes(family: Family, parts: Sequence[Part]) -> Figure:
    """A bar for everything and for each part that has tokens of the family, made of the shares of its labels."""
    shown = [WHOLE, *(part for part in parts if part in family.labels[0].tokens)]
    places, there = _places(shown), [place for place, label in enumerate(family.labels) if label.tokens[WHOLE]]
    height = 1.1 + max(0.3 * (places[-1] + 1), 0.21 * len(there))
    with style():
        figure = Figure(figsize=(10.4, height))
        axis = figure.add_axes((0.2, 0.4 / height, 0.58, 1 - 1.0 / height))
        share_LP = np.array([[family.share(family.labels[place], part) for part in shown] for place in there])
        color_L = [colors(family)[place] for place in there]
        _stacks(axis, places, share_LP, color_L)
        axis.set_yticks(places, [short(part.name) for part in shown])
        axis.set(xlim=(0, 1), ylim=(places[-1] + 0.6, -0.6))
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        axis.grid(False)
        figure.text(0.2, 1 - 0.14 / height, words(family.name), va="top", fontsize=11, fontweight="bold")
        figure.text(0.2, 1 - 0.36 / height, family.question, va="top", color=SOFT)
        names = [words(family.labels[place].name) for place in there]
        key = [Patch(color=color, label=name) for color, name in zip(color_L, names)]
        axis.legend(
            handles=key, loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=9, handlelength=1, handleheight=1
        )
    return figure


def _stacks(axis: Axes, places: Sequence[float], share_LP: Float[np.ndarray, "L P"], colors: Sequence[str]) -> None:
    """Bars of stacked shares, with the number of each share that has room for it."""
    left_LP = np.cumsum(share_LP, axis=0) - share_LP
    place_LP = np.broadcast_to(places, share_LP.shape)
    axis.barh(
        place_LP.ravel(), share_LP.ravel(), left=left_LP.ravel(), height=0.8, color=np.repeat(colors, len(places))
    )
    for index, part in np.argwhere(share_LP >= _WRITTEN):
        share, middle = share_LP[index, part], left_LP[index, part] + share_LP[index, part] / 2
        form = {"ha": "center", "va": "center", "fontsize": 8.5, "color": _on(colors[index])}
        axis.text(middle, places[part], f"{share:.0%}", **form)


def _places(shown: Sequence[Part]) -> list[float]:
    """Where the bars lie from above: everything, sources and domains with a little room between them."""
    kinds = [part._replace(source=part.source != "all", domain=part.domain != "all") for part in shown]
    gaps = [0.0, *(1.0 + 0.5 * (kind != before) for before, kind in itertools.pairwise(kinds))]
    return np.cumsum(gaps).tolist()


def _on(color: str) -> str:
    """Ink that can be read on a colour."""
    return "white" if np.dot(to_rgb(color), (0.3, 0.59, 0.11)) < 0.55 else INK


def curve(frequencies: Frequencies) -> Figure:
    """Occurrences by rank, both logarithmic, over the bands by rank; dotted lines part the occurrences in quarters."""
    ranks = np.arange(1, len(frequencies.counts_N) + 1)
    with style():
        figure = Figure(figsize=(11.8, 4.4), layout="constrained")
        axis = figure.subplots()
        axis.loglog(ranks, frequencies.counts_N, color=INK, linewidth=2)
        axis.set(xlabel="rank of the id", ylabel="occurrences")
        axis.set_xlim(0.9, max(2.0, ranks[-1] * 1.1))
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter("{x:,.0f}")
            side.set_minor_locator(NullLocator())
        for number, (name, (ids, _, share)) in enumerate(frequencies.by_band.items()):
            if ids:
                text = f"{words(name)}\n{ids:,} ids, {share:.1%}"
                _band(axis, _BANDS[number % 2], text, ranks[frequencies.band_N == number])
        for quarter in (1, 2, 3):
            _quarter(axis, frequencies, quarter)
    return figure


def _band(axis: Axes, shade: str, text: str, ranks: np.ndarray) -> None:
    """A shade of grey over the ranks of a band, named above where it is wide enough."""
    low, high = max(0.9, ranks[0] - 0.5), ranks[-1] + 0.5
    axis.axvspan(low, high, color=shade, linewidth=0, zorder=0)
    if high > 1.1 * low:
        axis.text((low * high) ** 0.5, 1.02, text, ha="center", color=SOFT, transform=axis.get_xaxis_transform())


def _quarter(axis: Axes, frequencies: Frequencies, quarter: int) -> None:
    """A line at the rank up to which the ids make up so many quarters of the text."""
    passed_N = np.cumsum(frequencies.counts_N)
    rank = 1 + int(np.searchsorted(4 * passed_N, quarter * passed_N[-1]))
    axis.axvline(rank + 0.5, color=GREY, linestyle=":")
    text = f"{quarter * 25}% of the text\nup to rank {rank:,}"
    place = {"xy": (rank + 0.5, 0.02), "xycoords": axis.get_xaxis_transform(), "xytext": (-4, 0)}
    axis.annotate(text, **place, textcoords="offset points", ha="right", color=SOFT, fontsize=9)


def rows(packed_rows: Sequence[PackedRow]) -> Figure:
    """All rows side by side."""
    with style():
        figure = Figure(figsize=(3 * len(packed_rows), 3.5), layout="constrained")
        for part, row in zip(np.atleast_1d(figure.subfigures(1, len(packed_rows))), packed_rows):
            part.suptitle(row.title, fontsize=10, fontweight="bold")
            _draw(part, row)
    return figure


def packed(row: PackedRow) -> Figure:
    """The documents of a row as a strip of colours, and below it its mask: a query's squares in its document's."""
    with style():
        figure = Figure(figsize=(2.7, 3.15), layout="constrained")
        _draw(figure, row)
    return figure


def _draw(figure: FigureBase, row: PackedRow) -> None:
    document_T = np.where(row.segment_T > 0, 1 + (row.segment_T - 1) % len(_DOCUMENTS), 0)
    extent = (0, row.stride * len(document_T), row.stride * len(document_T), 0)
    strip, matrix = figure.subplots(2, 1, height_ratios=(1, 16), sharex=True)
    _image(strip, document_T[None], (*extent[:2], 1, 0), _PADDING)
    _image(matrix, np.where(row.is_visible_TT, document_T[:, None], 0), extent, _PALE)
    strip.set_yticks([])
    strip.tick_params(labelbottom=False)
    matrix.set(xlabel="key", ylabel="query")


def _image(axis: Axes, number: np.ndarray, extent: tuple[int, ...], nothing: str) -> None:
    colors = ListedColormap([nothing, *_DOCUMENTS])
    axis.imshow(
        number, cmap=colors, vmin=0, vmax=len(_DOCUMENTS), extent=extent, aspect="auto", interpolation="nearest"
    )
    axis.grid(False)
    axis.spines[:].set_visible(False)


def expected(gains: Gains) -> Figure:
    """The expected gain by every family with its interval, a marker for each model."""
    families = list(dict.fromkeys(gain.family for gain in gains.gains))
    with style():
        figure = Figure(figsize=(8.2, 1.3 + 0.32 * len(families)), layout="constrained")
        axis = figure.subplots()
        for number, (model, found) in enumerate(gains.by_model.items()):
            apart = 0.22 * (number - (len(gains.by_model) - 1) / 2)
            _model(axis, number, model, found, {family: place + apart for place, family in enumerate(families)})
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.set_yticks(range(len(families)), [words(family) for family in families])
        axis.set(xlabel=f"expected gain over {gains.baseline}, nats per token", ylim=(len(families) - 0.5, -0.5))
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def _model(axis: Axes, number: int, model: str, found: Sequence[Gain], places: Mapping[str, float]) -> None:
    ends = np.array([(gain.gain - gain.low, gain.high - gain.gain) for gain in found]).T
    where = [places[gain.family] for gain in found]
    drawn = {"label": model, "linestyle": "none", "elinewidth": 1.4, **look(number)}
    axis.errorbar([gain.gain for gain in found], where, xerr=ends, **drawn)
