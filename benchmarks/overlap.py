"""How much of the time that GPUs spend in collectives other work hides, from a profile of a few steps.

A collective is hidden while another kernel runs on the same GPU, and exposed while none does: then the GPU waits.
"""

import collections
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax

COLLECTIVE = re.compile(r"nccl|all[-_]?gather|all[-_]?reduce|reduce[-_]?scatter|collective|memcpyp2p", re.IGNORECASE)
"""What kernels that talk to other GPUs are called."""

Span = tuple[float, float]
"""Begin and end, in seconds."""


class Overlap(NamedTuple):
    """Seconds per GPU that collectives ran, behind other kernels and alone, and that other kernels ran."""

    hidden: float
    exposed: float
    work: float


def of_profile(directory: str) -> Overlap | None:
    """The mean over the GPUs of a profile, or None where it holds no kernels."""
    by_gpu = collections.defaultdict(list)
    for gpu, name, span in _kernels(directory):
        by_gpu[gpu].append((name, span))
    found = [of_kernels(kernels) for kernels in by_gpu.values()]
    return Overlap(*(sum(column) / len(found) for column in zip(*found))) if found else None


def of_kernels(kernels: Iterable[tuple[str, Span]]) -> Overlap:
    """Of the kernels of one GPU, given by name and time."""
    kinds = {True: [], False: []}
    for name, span in kernels:
        kinds[bool(COLLECTIVE.search(name))].append(span)
    collective, work = joined(kinds[True]), joined(kinds[False])
    exposed = seconds(joined([*collective, *work])) - seconds(work)
    return Overlap(hidden=seconds(collective) - exposed, exposed=exposed, work=seconds(work))


def joined(spans: Iterable[Span]) -> list[Span]:
    """The times that at least one span covers, as spans that do not touch."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def seconds(spans: Iterable[Span]) -> float:
    """The length of spans that do not overlap."""
    return sum(end - begin for begin, end in spans)


def _kernels(directory: str) -> Iterator[tuple[str, str, Span]]:
    for file in pathlib.Path(directory).rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            lines = plane.lines if plane.name.startswith("/device:GPU") else ()
            for line in lines:
                if line.name.startswith("Stream"):
                    yield from (
                        (plane.name, event.name, (event.start_ns / 1e9, event.end_ns / 1e9)) for event in line.events
                    )
