"""Many signals at random moments, on the mixture and on every objective alone: is what comes out the same bits?

    python -m tests.faults.storms [JOBS]

prints a line per objective and writes the record `storms.json` beside this file, so many storms at a time (1). What is
on record already is not done again; remove the file to begin anew. It takes about an hour of one core.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

import jax
import numpy as np
from etils import epath

from hybridlm.config.command_line import load
from hybridlm.config.exit_codes import ExitCode
from hybridlm.training.session import first_state, open_session
from tests.end_to_end.command import Command, log_of
from tests.end_to_end.results import lines
from tests.golden.every_objective import OBJECTIVES

RECORD = pathlib.Path(__file__).with_name("storms.json")
MIXTURE = "mixture"
STORMS = {MIXTURE: (5, {signal.SIGKILL: 5, signal.SIGTERM: 2})}
"""How many storms, and the signals of each; every other objective has one of two and two."""
ONE = (1, {signal.SIGKILL: 2, signal.SIGTERM: 2})
STEPS_PER_SIGNAL = 150

WITHOUT_REPORT = (
    "-c",
    "import sys; from hybridlm.training import run; run._report = lambda *_: None; "
    "from hybridlm.cli.main import main; sys.exit(main())",
)
"""The bits of training are asked for, and reading the last state takes longer than all its steps."""

CONFIG = """
import dataclasses
from tests.faults import small
from tests.golden.every_objective import OBJECTIVES

def get_config():
    return dataclasses.replace(small.get_config(), **{objectives})
"""


_ONE_AT_A_TIME = threading.Lock()


@dataclasses.dataclass
class Storm:
    """What came of it. `lost_steps`: taken again after a SIGTERM, over all of them. `seconds_to_saved`: from each
    SIGTERM to its committed checkpoint, 0 where all was saved. `equal_lines`: of metrics, and how many there are.
    `parameters`: SHA-256 of the last ones, disturbed or not."""

    kills: int = 0
    terms: int = 0
    lost_steps: int = 0
    seconds_to_saved: list[float] = dataclasses.field(default_factory=list)
    equal_lines: tuple[int, int] = (0, 0)
    parameters: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Is everything, bit for bit, what the undisturbed run has?"""
        return self.equal_lines[0] == self.equal_lines[1] and len(set(self.parameters)) == 1


def storm(name: str, place: pathlib.Path, signals: dict[signal.Signals, int], seed: int = 0) -> Storm:
    """Runs an objective once undisturbed, and once with so many signals."""
    dice, found = random.Random(f"{name} {seed}"), Storm()
    config = place / "config.py"
    wanted = "{}" if name == MIXTURE else f'{{"objectives": OBJECTIVES[{name!r}]}}'
    config.write_text(CONFIG.replace("{objectives}", wanted))
    coming = [number for number, count in signals.items() for _ in range(count)]
    dice.shuffle(coming)
    command = Command(place, {"training.steps": STEPS_PER_SIGNAL * (len(coming) + 1)}, str(config))
    straight, disturbed = place / "straight", place / "disturbed"
    _expect(command.start(straight, WITHOUT_REPORT).wait(), ExitCode.DONE, straight)
    for number in coming:
        _send(number, command, disturbed, dice, found)
    _expect(command.start(disturbed, WITHOUT_REPORT).wait(), ExitCode.DONE, disturbed)
    ours, theirs = lines(disturbed), lines(straight)
    found.equal_lines = (sum(a == b for a, b in zip(ours, theirs)), max(len(ours), len(theirs)))
    found.parameters = tuple(_parameters(config, directory, place) for directory in (disturbed, straight))
    return found


def _send(number, command, directory, dice, found):
    """One process that a signal ends: anywhere after its start, or soon after it has saved something new."""
    before, process = _saved(directory), command.start(directory, WITHOUT_REPORT)
    if dice.random() < 0.2:
        time.sleep(dice.uniform(0, 4))
    else:
        while process.poll() is None and _saved(directory) <= before:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.25))
    begun = time.time()
    process.send_signal(number)
    code = process.wait()
    if number == signal.SIGKILL:
        _expect(code, -signal.SIGKILL, directory)
        found.kills += 1
        return
    is_early = code == -signal.SIGTERM  # before Python could install a handler: nothing to save
    _expect(code, -signal.SIGTERM if is_early else ExitCode.PREEMPTED, directory)
    found.terms += 1
    manifest = directory / "checkpoints" / str(_saved(directory)) / "manifest.json"
    committed = manifest.stat().st_mtime if manifest.exists() else begun
    found.seconds_to_saved.append(round(max(0.0, committed - begun), 2))
    said = [line for line in log_of(directory).read_text().splitlines() if line.startswith("hybridlm: stopped at step")]
    if not is_early and said:
        found.lost_steps += max(0, int(said[-1].split()[4]) - _saved(directory))


def _saved(directory):
    """The newest checkpoint that is complete, by its manifest."""
    manifests = (directory / "checkpoints").glob("[0-9]*/manifest.json")
    return max((int(path.parent.name) for path in manifests if path.parent.name.isdecimal()), default=0)


def _parameters(config, directory, place):
    """SHA-256 over the last parameters."""
    steps = json.loads((directory / "config.json").read_text())["training"]["steps"]
    changes = {"data.sources": str(place / "text"), "training.steps": str(steps)}
    with _ONE_AT_A_TIME:
        session = open_session(load(str(config), changes), epath.Path(directory), read_only=True)
        leaves = jax.tree.leaves(jax.device_get(first_state(session).params))
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest()


def _expect(code, wanted, directory):
    if code != wanted:
        raise AssertionError(f"a process ended with {code}, not {wanted}:\n{log_of(directory).read_text()[-4000:]}")


def merged(storms: list[Storm]) -> Storm:
    """Several storms of one objective as one."""
    return Storm(
        kills=sum(one.kills for one in storms),
        terms=sum(one.terms for one in storms),
        lost_steps=sum(one.lost_steps for one in storms),
        seconds_to_saved=[seconds for one in storms for seconds in one.seconds_to_saved],
        equal_lines=tuple(sum(counts) for counts in zip(*(one.equal_lines for one in storms))),
        parameters=tuple(sorted({digest for one in storms for digest in one.parameters})),
    )


def main(jobs: int) -> None:
    """Adds to the record what is missing there."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}

    def weathered(asked):
        name, number, signals = asked
        with tempfile.TemporaryDirectory() as place:
            return storm(name, pathlib.Path(place), signals, seed=number)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        coming = {}
        for name in (name for name in (MIXTURE, *OBJECTIVES) if name not in record):
            count, signals = STORMS.get(name, ONE)
            coming[name] = [pool.submit(weathered, (name, number, signals)) for number in range(count)]
        for name, futures in coming.items():
            found = merged([future.result() for future in futures])
            print(f"{name}: {'equal' if found.is_equal else 'DIFFERENT'} {dataclasses.asdict(found)}", flush=True)
            record[name] = dataclasses.asdict(found) | {"is_equal": found.is_equal}
            RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
