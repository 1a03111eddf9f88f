"""Pictures of an inspection: the frequency curve of a vocabulary with its bands, and packed rows with their mask."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from hybridlm.reports.blocks import words
from hybridlm.reports.inspection import Frequencies, PackedRow
from hybridlm.reports.plots import GREY, PALETTE, style

_DOCUMENTS = PALETTE[:6]
_PALE, _PADDING = "#f3f5f8", "#d5dae1"
_RANK_BANDS = (1_000, 10_000, 50_000)


def curve(frequencies: Frequencies) -> Figure:
    """Occurrences by rank, both logarithmic, over the shaded bands; dotted lines part the bands by rank."""
    ranks = np.arange(1, len(frequencies.counts_N) + 1)
    with style():
        figure = Figure(figsize=(11.8, 4.2), layout="constrained")
        axis = figure.subplots()
        axis.loglog(ranks, frequencies.counts_N, color="#1f2430", linewidth=2)
        axis.set(xlabel="rank of the id", ylabel="occurrences in the training rows")
        axis.set_xlim(0.9, max(2.0, ranks[-1] * 1.1))
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter("{x:,.0f}")
            side.set_minor_locator(NullLocator())
        for number, name in enumerate(frequencies.bands):
            _band(axis, PALETTE[number % len(PALETTE)], words(name), ranks[frequencies.band_N == number])
        for rank in _RANK_BANDS:
            if rank < ranks[-1]:
                axis.axvline(rank + 0.5, color=GREY, linestyle=":")
                axis.text(rank, 0.02, f"rank {rank:,} ", ha="right", transform=axis.get_xaxis_transform(), color=GREY)
    return figure


def _band(axis: Axes, color: str, name: str, ranks: np.ndarray) -> None:
    """A shade over the ranks of a band, named above with the number of its ids."""
    if not len(ranks):
        return
    low, high = max(0.9, ranks[0] - 0.5), ranks[-1] + 0.5
    axis.axvspan(low, high, color=color, alpha=0.1, linewidth=0)
    text = f"{name.replace(' quarter', '')}\n{len(ranks):,} ids"
    axis.text((low * high) ** 0.5, 1.02, text, ha="center", color=color, transform=axis.get_xaxis_transform())


def packed(row: PackedRow) -> Figure:
    """The documents of a row as a strip of colours, and below it its mask: a query's squares in its document's."""
    document_T = np.where(row.segment_T > 0, 1 + (row.segment_T - 1) % len(_DOCUMENTS), 0)
    extent = (0, row.stride * len(document_T), row.stride * len(document_T), 0)
    with style():
        figure = Figure(figsize=(2.7, 3.15), layout="constrained")
        strip, matrix = figure.subplots(2, 1, height_ratios=(1, 16), sharex=True)
        _image(strip, document_T[None], (*extent[:2], 1, 0), _PADDING)
        _image(matrix, np.where(row.is_visible_TT, document_T[:, None], 0), extent, _PALE)
        strip.set_yticks([])
        strip.tick_params(labelbottom=False)
        matrix.set(xlabel="key", ylabel="query")
    return figure


def _image(axis: Axes, number: np.ndarray, extent: tuple[int, ...], nothing: str) -> None:
    colors = ListedColormap([nothing, *_DOCUMENTS])
    axis.imshow(
        number, cmap=colors, vmin=0, vmax=len(_DOCUMENTS), extent=extent, aspect="auto", interpolation="nearest"
    )
    axis.grid(False)
    axis.spines[:].set_visible(False)
