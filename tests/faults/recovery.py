"""How fast a small run stops, comes back, and is found whole or damaged:

python -m tests.faults.recovery
"""

import contextlib
import json
import pathlib
import resource
import signal
import tempfile
import time

from etils import epath

from hybridlm.storage import digests
from tests.end_to_end.command import WHOLE, Command
from tests.faults import small

TIMES = 3
MEGABYTES = 512


def verification() -> float:
    """GB of a checkpoint checked in a second of one core's time."""
    with tempfile.TemporaryDirectory() as place:
        path = epath.Path(place) / "arrays"
        path.write_bytes(bytes(range(256)) * (MEGABYTES * 2**20 // 256))
        begun = time.process_time()
        digests.seal(epath.Path(place))
        return path.stat().length / 1e9 / (time.process_time() - begun)


def stops_and_starts(place: pathlib.Path) -> tuple[list[float], list[float], list[float]]:
    """Seconds from SIGTERM to the committed checkpoint, and from the command to the first new step; warm cache.

    A third list has the processor time of each whole process, which other work on the machine does not stretch.
    """
    changes = {"training.steps": 100_000, "training.log_every": 1, "checkpoint.every": 1000}
    command, directory = Command(place, changes, small.__file__), place / "run"
    to_saved, to_step, processor = [], [], []
    for number in range(TIMES + 1):
        begun, before = time.time(), _last_step(directory)
        process = command.start(directory, WHOLE)
        while _last_step(directory) <= before:
            time.sleep(0.02)
        if number:  # the first start compiles
            to_step.append(time.time() - begun)
        time.sleep(1)
        begun = time.time()
        process.send_signal(signal.SIGTERM)
        used = _used()
        process.wait()
        processor += [_used() - used] if number else []
        manifests = (directory / "checkpoints").glob("[0-9]*/manifest.json")
        to_saved.append(max(path.stat().st_mtime for path in manifests) - begun)
    return to_saved, to_step, processor


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last_step(directory: pathlib.Path) -> int:
    with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
        return json.loads((directory / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    return 0


def main() -> None:
    """Prints a line for each."""
    print(f"verifying a checkpoint: {verification():.2f} GB/s of one core")
    with tempfile.TemporaryDirectory() as place:
        to_saved, to_step, processor = stops_and_starts(pathlib.Path(place))
    print(f"SIGTERM to committed checkpoint: {', '.join(f'{seconds:.1f}' for seconds in to_saved)} s")
    print(f"restart to first new step, warm cache: {', '.join(f'{seconds:.1f}' for seconds in to_step)} s")
    print(f"processor time of those processes: {', '.join(f'{seconds:.1f}' for seconds in processor)} s")


if __name__ == "__main__":
    main()
