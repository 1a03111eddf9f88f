"""What a run has written, less what differs from run to run: the clock, the date, the machine."""

import json
import pathlib


def lines(directory: pathlib.Path) -> list[dict[str, float]]:
    """All of metrics.jsonl but what a clock measured."""
    read = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if not name.startswith(("perf/", "goodput/"))} for line in read
    ]


def scores(directory: pathlib.Path) -> tuple[list, list]:
    """Columns and rows of scores.json."""
    found = json.loads((directory / "scores.json").read_text())
    return found["columns"], found["rows"]
