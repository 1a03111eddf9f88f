"""Which source every row of the training stream comes from: a function of its place in the stream, with exact shares.

Shares with a common denominator P repeat every P rows, in which each source has its share exactly, spread evenly.
In this file K counts sources and N places.
"""

import dataclasses
import fractions
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from hybridlm.config.data import DataConfig
from hybridlm.config.sources import MOST_DECIMALS, Mixing, Source


def in_rows(config: DataConfig, prepared: Sequence[Source]) -> tuple[Mixing, ...]:
    """The shares by the names that the sources had when they were prepared: a corpus may have moved since."""
    called = {now.called: then.called for now, then in zip(config.named_sources, prepared, strict=True)}
    return tuple(
        dataclasses.replace(mix, shares={called[name]: share for name, share in mix.shares.items()})
        for mix in config.mixing
    )


class Pattern:
    """The order of sources that repeats; `counts_K` are whole numbers of rows per repetition."""

    def __init__(self, shares: Sequence[float]):
        exact = [fractions.Fraction(round(share * 10**MOST_DECIMALS), 10**MOST_DECIMALS) for share in shares]
        self.period = math.lcm(*(share.denominator for share in exact))
        self.counts_K = np.array([int(share * self.period) for share in exact])
        spread = sorted(((2 * k + 1) / (2 * n), source) for source, n in enumerate(self.counts_K) for k in range(n))
        self._source_P = np.array([source for _, source in spread])
        is_source_KP = self._source_P == np.arange(len(exact))[:, None]
        # how many rows of each source come before a place of the period, its end included
        self._before_KP = np.cumsum(np.pad(is_source_KP, ((0, 0), (1, 0))), axis=1)

    def sources(self, place_N: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
        """The source of every place."""
        return self._source_P[place_N % self.period]

    def drawn(self, place_N: Int[np.ndarray, "N"]) -> Int[np.ndarray, "K N"]:
        """How many rows of every source come before every place."""
        turn_N, rest_N = np.divmod(place_N, self.period)
        return self.counts_K[:, None] * turn_N + self._before_KP[:, rest_N]


class Mixture:
    """Phases of shares one after the other; a source goes on with its rows where the phase before left it."""

    def __init__(self, names: Sequence[str], phases: Mapping[int, Mapping[str, float]]):
        """`phases`: first place of the stream, the lowest being 0 -> share of every name."""
        self.names = tuple(names)
        self._first_M = np.array(sorted(phases))
        self._patterns = [Pattern([phases[first][name] for name in names]) for first in sorted(phases)]
        lengths = np.diff(self._first_M)
        spent = [pattern.drawn(np.array([length]))[:, 0] for pattern, length in zip(self._patterns, lengths)]
        self._base_MK = np.cumsum([np.zeros(len(names), np.int64), *spent], axis=0)

    def phase(self, place_N: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
        """The number of the phase that every place lies in."""
        return np.searchsorted(self._first_M, place_N, side="right") - 1

    def drawn(self, place: int) -> dict[str, int]:
        """How many rows of every source come before a place."""
        phase = int(self.phase(np.array([place]))[0])
        rest = np.array([place - self._first_M[phase]])
        return dict(zip(self.names, (self._base_MK[phase] + self._patterns[phase].drawn(rest)[:, 0]).tolist()))

    def __call__(self, place_N: Int[np.ndarray, "N"]) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
        """The source of every place, by number, and which of its rows this is in the order of drawing, from 0."""
        source_N, turn_N = np.empty_like(place_N), np.empty_like(place_N)
        phase_N = self.phase(place_N)
        for phase in np.unique(phase_N):
            here = np.flatnonzero(phase_N == phase)
            rest, pattern = place_N[here] - self._first_M[phase], self._patterns[phase]
            source_N[here] = pattern.sources(rest)
            drawn_KN = self._base_MK[phase][:, None] + pattern.drawn(rest)
            turn_N[here] = drawn_KN[source_N[here], np.arange(len(here))]
        return source_N, turn_N
