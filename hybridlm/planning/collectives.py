"""The traffic of a compiled program, read from its text: every collective, as often as the loops around it run."""

import collections
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4}
_BYTES |= {"f64": 8, "s64": 8, "u64": 8}
_ARRAY = re.compile(r"\b(pred|bf16|[sfu]\d+)\[([\d,]*)\]")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_OPERATION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(")
_CALLED = re.compile(r"(?:calls|to_apply|body|(?:called|branch)_computations)=\{?(%?[\w.\-]+(?:, %?[\w.\-]+)*)")
_LOOP = re.compile(r"condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_TRIPS = re.compile(r"known_trip_count[^\d]*(\d+)")


class Collective(NamedTuple):
    """One operation: how often it runs in a step, devices of a group, bytes a device receives each time."""

    kind: str
    count: int
    group: int
    received: int


def collectives(text: str) -> Iterator[Collective]:
    """Every collective of a program in HLO's text form; parts of an asynchronous one count once."""
    bodies, entry = _computations(text)
    runs, seen = _runs(bodies, entry), set()
    for name, lines in bodies.items():
        for line in lines:
            found = _OPERATION.search(line)
            if not found or not runs[name]:
                continue
            channel = re.search(r"channel_id=(\d+)", line)
            key = (found[2], channel[1] if channel else line)
            if key in seen:
                continue
            seen.add(key)
            group = _group(line)
            yield Collective(found[2], runs[name], group, _received(found[2], _size(found[1], bool(found[3])), group))


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Lines of each computation by name, and the name of the entry."""
    bodies, name, entry = {}, "", ""
    for line in text.splitlines():
        if header := _HEADER.match(line):
            name = header[2]
            bodies[name], entry = [], name if header[1] else entry
        elif name:
            bodies[name].append(line)
    return bodies, entry


def _runs(bodies: dict[str, list[str]], entry: str) -> collections.Counter:
    """How often each computation runs; one that several call is counted for the one that runs it most."""
    runs = collections.Counter({entry: 1})
    todo = [entry]
    while todo:
        caller = todo.pop()
        for line in bodies[caller]:
            loop = _LOOP.search(line)
            for called in (name.strip("% ") for names in _CALLED.findall(line) for name in names.split(",")):
                times = runs[caller] * (_trips(line, bodies[loop[1]]) if loop and called == loop[2] else 1)
                if called in bodies and times > runs[called]:
                    runs[called] = times
                    todo.append(called)
    return runs


def _trips(line: str, condition: list[str]) -> int:
    """Rounds of a loop: what the compiler knows, else the largest constant its condition compares with."""
    if known := _TRIPS.search(line):
        return int(known[1])
    return max((int(n) for text in condition for n in re.findall(r"constant\((\d+)\)", text)), default=1)


def _size(shapes: str, is_start: bool) -> int:
    """Bytes of a result; that of the start of an asynchronous operation holds its operands too: before it and in
    brackets of their own, or else the smaller half."""
    if is_start and shapes.startswith("(("):
        shapes, is_start = shapes.partition("), ")[2], False
    sizes = [_BYTES[kind] * math.prod(map(int, filter(None, dims.split(",")))) for kind, dims in _ARRAY.findall(shapes)]
    return max(sizes, default=0) if is_start else sum(sizes)


def _group(line: str) -> int:
    """Devices that take part together, from any of the forms in which HLO writes groups."""
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
        return math.prod(int(part or sizes[axis]) for axis, part in re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", mesh[2]))
    if iota := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(iota[1])
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return listed[1].count(",") + 1
    return 1


def _received(kind: str, size: int, group: int) -> int:
    """Bytes a device receives for a result of so many bytes, by the algorithm that needs fewest."""
    others = (group - 1) / group
    factor = {"all-reduce": 2 * others, "reduce-scatter": group - 1, "collective-permute": 1}.get(kind, others)
    return round(size * factor)
