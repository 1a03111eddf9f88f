"""Checkpoints that can be trusted: Orbax writes the arrays in the background, and a manifest of digests seals a step.

A step counts only if it is sealed and every byte still agrees. The order on disk is: `<step>.saving`, an empty mark
beside the step, then Orbax's files, then the manifest, then the mark goes, then older steps beyond `keep` go. At
whatever moment a run is killed, its newest sealed step is whole, and a marked step without manifest may be removed.
"""

import concurrent.futures
import contextlib
import itertools
import sys
import time
from collections.abc import Mapping

import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from etils import epath
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from hybridlm.config.exit_codes import ExitCode
from hybridlm.data.directories import is_local
from hybridlm.sharding.distributed import is_primary
from hybridlm.storage import compatibility, digests, durable, staging

_NONE = -1


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or none that was written can be trusted."""

    exit_code = ExitCode.IO


class Checkpoints:
    """The checkpoints of one run, `<directory>/<step>`; with `read_only`, those of a run that may still be going on.

    Every process of a run makes its own and calls the same methods; the first one seals, renames and removes.
    """

    def __init__(self, directory: epath.PathLike, keep: int = 3, *, read_only: bool = False):
        directory = epath.Path(directory)
        # the storage layer takes no path that depends on where a process was started; a bucket's never does
        self._directory = directory.absolute() if is_local(directory) else directory
        self._keep = keep
        self._read_only = read_only
        self._trusted = None  # a step known to be whole: just saved, or just verified
        self._pending = None
        self._sealer = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="seal")
        # Not CheckpointManager: it removes old steps before the new one is sealed, and trusts any directory's name.
        self._orbax = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
        if is_primary() and not read_only:
            self._remove_leftovers()

    def save(self, step: int, state: PyTree, metadata: Mapping) -> None:
        """Starts to save arrays and ints beside JSON metadata; returns when the arrays are copied from the devices.

        Awaits a save still running. A step saved or restored before is left alone.
        """
        if step == self._trusted:
            return
        self._collect()
        with self._cleaned_up(step), contextlib.ExitStack() as on_failure:
            self._announce(step)
            metadata = {**metadata, "leaves": compatibility.leaf_table(state)}
            items = ocp.args.Composite(state=ocp.args.StandardSave(state), metadata=ocp.args.JsonSave(metadata))
            outgoing = on_failure.enter_context(contextlib.closing(staging.Outgoing(self._path(step))))
            self._orbax.save(outgoing.place, args=items)
            on_failure.pop_all()
        self._pending = self._sealer.submit(self._seal, step, outgoing)
        self._trusted = step

    def poll(self) -> None:
        """Raises `CheckpointError` if a save has failed in the background; call it at each log interval."""
        if self._pending is not None and self._pending.done():
            self._collect()

    def settle(self) -> None:
        """Awaits a save that runs, whatever becomes of it; any thread may."""
        pending = self._pending
        if pending is not None:
            concurrent.futures.wait([pending])

    def hold_back(self, before: int, at_most: int) -> int:
        """The newest step below another, being saved or on disk, from now on kept; 0 where there is none.

        No more than `at_most` steps are ever held back.
        """
        step = max((step for step in (*self.steps(), self._trusted or 0) if step < before), default=0)
        if step and len(list(self._directory.glob("*.held"))) < at_most and is_primary():
            self._beside(step, "held").touch()
        return step

    def close(self) -> None:
        """Awaits the last save and looks for its manifest; raises `CheckpointError` if that save failed."""
        try:
            self._collect()
            if is_primary() and self._trusted is not None and not digests.is_sealed(self._path(self._trusted)):
                raise CheckpointError(f"the last checkpoint, {self._path(self._trusted)}, has lost its manifest.")
        finally:
            self._sealer.shutdown()
            self._orbax.close()

    def steps(self) -> list[int]:
        """Steps whose saving has ended, whole or damaged, in rising order."""
        names = {path.name for path in self._directory.iterdir()} if self._directory.exists() else set()
        return sorted(int(name) for name in names if name.isdecimal() and f"{name}.saving" not in names)

    def latest_valid(self, before: int = sys.maxsize) -> int | None:
        """The newest step below another of which every byte agrees; None where nothing was ever saved.

        Damaged steps on the way are reported and renamed `<step>.damaged-<n>`; `CheckpointError` if none is left.
        """
        found = self._search(before) if is_primary() else _NONE
        found = int(multihost_utils.broadcast_one_to_all(np.int32(found)))
        self._trusted = None if found == _NONE else found
        return self._trusted

    def read_metadata(self, step: int) -> dict:
        """What `save` was given, and "leaves", the table of stored shapes and dtypes; no array is read."""
        self._verify(step)
        return self._read(step, metadata=ocp.args.JsonRestore())["metadata"]

    def restore(self, step: int, target: PyTree) -> PyTree:
        """The state on the shardings of `target`, a tree of `jax.ShapeDtypeStruct` (an int where an int was saved).

        The mesh may be another than at saving. Raises `ConfigError` if a leaf differs, is missing or is left over.
        """
        return self._restore(step, target, self.read_metadata(step)["leaves"])

    def restore_params(self, step: int, target: PyTree) -> PyTree:
        """`state.params` alone, as `restore` does; optimizer state is neither read nor asked for."""
        stored = self.read_metadata(step)["leaves"]
        params = {path: leaf for path, leaf in stored.items() if path.startswith("params/")}
        return self._restore(step, {"params": target}, params)["params"]

    def _restore(self, step, target, stored):
        compatibility.check_leaves(stored, compatibility.leaf_table(target), step=step)
        compatibility.check_placed(target)
        placed = ocp.checkpoint_utils.construct_restore_args(target)
        return self._read(step, state=ocp.args.PyTreeRestore(target, placed, partial_restore=True))["state"]

    def _read(self, step, **items):
        with (
            staging.fetched(self._path(step)) as place,
            ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader,
        ):
            return reader.restore(place, args=ocp.args.Composite(**items))

    def _path(self, step) -> epath.Path:
        return self._directory / str(step)

    def _beside(self, step, mark) -> epath.Path:
        return self._directory / f"{step}.{mark}"

    def _announce(self, step):
        if is_primary():
            if self._path(step).exists():
                raise FileExistsError(f"{self._path(step)} is there already; resume from it, or move it away")
            self._directory.mkdir(parents=True, exist_ok=True)
            self._beside(step, "saving").touch()

    def _seal(self, step, outgoing):
        """Runs in the background: awaits the arrays of every process, then writes the manifest."""
        with self._cleaned_up(step), contextlib.closing(outgoing):
            self._orbax.wait_until_finished()
            outgoing.deliver()
            if is_primary():
                digests.seal(self._path(step))
                self._beside(step, "saving").unlink()
        if is_primary():
            loose = [step for step in self.steps() if not self._beside(step, "held").exists()]
            for old in loose[: -self._keep]:
                self._path(old).rmtree()

    @contextlib.contextmanager
    def _cleaned_up(self, step):
        """Turns any failure into a `CheckpointError` that leaves older steps and free space as they were."""
        try:
            yield
        except Exception as error:
            if is_primary():
                self._remove_leftovers()
            raise CheckpointError(
                f"checkpoint {step} could not be saved in {self._directory}: {error}. Older checkpoints are intact. "
                "Check free space and access rights, then run the same command again to resume."
            ) from error

    def _collect(self):
        """Awaits the save that runs, and raises what went wrong in it, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending.result()
            except Exception:
                self._trusted = None
                raise

    def _remove_leftovers(self):
        """Removes what interrupted saves left: Orbax's temporary directories, and marked steps never sealed."""
        for path in self._directory.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"):
            _remove(path)
        for mark in self._directory.glob("*.saving"):
            directory = self._directory / mark.stem
            if not digests.is_sealed(directory):
                _remove(directory)
            mark.unlink()

    def _search(self, before: int) -> int:
        for step in reversed([step for step in self.steps() if step < before]):
            wrong = digests.damage(self._path(step))
            if not wrong:
                return step
            self._set_aside(step, wrong)
        if before == sys.maxsize and (self.steps() or any(self._directory.glob("*.damaged-*"))):
            raise CheckpointError(
                f"{self._directory} holds checkpoints, but every one is damaged; the warnings above name the files, "
                "or their names say so (.damaged). Bring one back from a copy. To start from scratch on purpose, move "
                "that directory away or choose another --workdir."
            )
        return _NONE

    def _set_aside(self, step, wrong):
        names = (self._directory / f"{step}.damaged-{n}" for n in itertools.count(1))
        aside = next(path for path in names if not path.exists())
        if not self._read_only:
            durable.move(self._path(step), aside)
        logging.warning("checkpoint %d is damaged and left out: %s", step, "; ".join(wrong))

    def _verify(self, step):
        self._collect()
        if step != self._trusted:
            wrong = digests.damage(self._path(step))
            if wrong:
                raise CheckpointError(f"checkpoint {self._path(step)} cannot be trusted: {'; '.join(wrong)}.")


def _remove(directory: epath.Path) -> None:
    """Removes a directory that threads of a failed save may still be writing to."""
    for attempt in range(10):
        try:
            return directory.rmtree(missing_ok=True)
        except OSError:
            if attempt == 9:
                raise
            time.sleep(0.1)
