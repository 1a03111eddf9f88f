"""Where metrics go: metrics.jsonl always and in full, TensorBoard for the headlines, Weights & Biases where asked for.

Only the file is essential. The others are companions: one that fails is dropped with a warning, and the run goes on.
"""

import contextlib
import hashlib
import importlib.util
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from absl import logging
from etils import epath
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import directory_check

from hybridlm.config.errors import require
from hybridlm.data.directories import is_local
from hybridlm.reports.progress import remark
from hybridlm.sharding.distributed import is_primary
from hybridlm.storage import durable, lines
from hybridlm.storage.workdir import METRICS

CATEGORIES = "nll/"
"""How the names of category metrics begin: `nll/ar/bracket/open`. They are no headlines."""
SEND_EVERY = 120.0
"""Seconds between two files of events in an object store."""
HEADLINES = 48
"""How many scalars TensorBoard shows: past that, nobody looks."""


class Sink(Protocol):
    """A place that takes the scalars of one step."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Writers:
    """All sinks of one run; on processes other than the first there are none.

    `resume_step` is the step a run resumes from: what an earlier process wrote of later steps is dropped, so that no
    step appears twice. None starts the file anew.
    """

    def __init__(self, workdir: epath.PathLike, wandb_project: str = "", resume_step: int | None = None):
        workdir = epath.Path(workdir)
        self._sinks: list[Sink] = []
        if is_primary():
            board = _Companion("TensorBoard", lambda: _TensorBoard(workdir / "tensorboard", resume_step))
            self._sinks = [_JsonLines(workdir / METRICS, resume_step), board]
            if wandb_project:
                self._sinks.append(_Companion("Weights & Biases", lambda: _Wandb(workdir, wandb_project)))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the scalars of one step everywhere; they are on disk, or on their way, when this returns."""
        scalars = {name: float(value) for name, value in scalars.items()}
        for sink in self._sinks:
            sink.write(step, scalars)

    def gather(self) -> None:
        """Makes the file of metrics whole where it lies in parts, for others to read."""
        for sink in self._sinks:
            if isinstance(sink, _JsonLines):
                sink.close()

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


def check_installed(wandb_project: str) -> None:
    """Raises `ConfigError` where a sink that the config asks for is not installed."""
    require(
        not wandb_project or importlib.util.find_spec("wandb") is not None,
        f"training.wandb={wandb_project!r} needs Weights & Biases, which is not installed; run "
        "`pip install 'hybridlm[wandb]'`, or leave out --config.training.wandb.",
    )


def is_headline(name: str) -> bool:
    """Whether a metric is about the whole run rather than one category of tokens."""
    return not name.startswith(CATEGORIES)


class _JsonLines:
    """One JSON object per line; NaN and infinities, which JSON lacks, are null."""

    def __init__(self, path, resume_step):
        kept = [line for line in lines.read(path) if resume_step is not None and _step_of(line) <= resume_step]
        self._lines = lines.Lines(path, kept)
        self._last = kept[-1] if kept else ""

    def write(self, step, scalars):
        values = {name: value if math.isfinite(value) else None for name, value in scalars.items()}
        line = json.dumps({"step": step, **values}) + "\n"
        # a finished run that is run again reads its model again, and finds the same
        if line != self._last:
            self._lines.append(line)

    def close(self):
        self._lines.gather()


def _step_of(line: str) -> int | float:
    try:
        return json.loads(line)["step"]
    except ValueError:
        return math.inf


class _Companion:
    """A sink that may fail: at its first error it is closed, reported and never asked again."""

    def __init__(self, name: str, make: Callable[[], Sink]):
        self._name = name
        self._sink = None
        with self._dropped_on_error():
            self._sink = make()

    def write(self, step, scalars):
        with self._dropped_on_error():
            if self._sink is not None:
                self._sink.write(step, scalars)

    def close(self):
        with self._dropped_on_error():
            if self._sink is not None:
                self._sink.close()

    @contextlib.contextmanager
    def _dropped_on_error(self):
        try:
            yield
        except Exception as error:
            logging.warning("%s is off for the rest of this run (metrics.jsonl goes on): %s", self._name, error)
            broken, self._sink = self._sink, None
            with contextlib.suppress(Exception):
                broken.close()


class _TensorBoard:
    """Writes events at once: tensorboardX's own queue would block the run for ever if its thread met a full disk.

    An object store gets them every few minutes, in files that follow each other, as TensorBoard reads them.
    """

    def __init__(self, directory, resume_step):
        self._target = directory
        self._local = directory if is_local(directory) else epath.Path(tempfile.mkdtemp())
        self._shown = {}
        self._is_full = False
        self._open()
        if resume_step is not None:
            restart = SessionLog(status=SessionLog.START)
            self._events.write_event(Event(wall_time=time.time(), step=resume_step + 1, session_log=restart))

    def write(self, step, scalars):
        values = [Summary.Value(tag=name, simple_value=scalars[name]) for name in self._chosen(scalars)]
        self._events.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._events.flush()
        if self._local != self._target and time.monotonic() > self._sent + SEND_EVERY:
            self.close()
            self._open()

    def close(self):
        self._events.close()
        if self._local != self._target:
            durable.copy(self._local, self._target)
            self._local.rmtree()

    def _open(self):
        directory_check(str(self._local))
        self._events = EventsWriter(f"{self._local}/events-{time.time_ns()}")
        self._sent = time.monotonic()

    def _chosen(self, names):
        """The first headlines ever seen keep their place."""
        headlines = [name for name in names if is_headline(name)]
        for name in headlines:
            if len(self._shown) < HEADLINES:
                self._shown.setdefault(name)
        if not self._is_full and any(name not in self._shown for name in headlines):
            self._is_full = True
            remark(f"TensorBoard shows the first {HEADLINES} headline metrics; metrics.jsonl has all of them")
        return [name for name in headlines if name in self._shown]


class _Wandb:
    """One run per workdir, continued after each restart."""

    def __init__(self, workdir, project):
        import wandb  # an extra, and slow to import

        name = hashlib.sha256(str(workdir).encode()).hexdigest()[:16]
        local = str(workdir) if is_local(workdir) else tempfile.mkdtemp()
        self._run = wandb.init(project=project, id=name, name=workdir.name, dir=local, resume="allow")

    def write(self, step, scalars):
        self._run.log(dict(scalars), step=step)

    def close(self):
        self._run.finish()
