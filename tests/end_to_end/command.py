"""`hybridlm train` of a tiny config in processes of its own, each of which uses what an earlier one has compiled."""

import os
import pathlib
import subprocess
import sys

from tests.end_to_end import tiny

ROOT = pathlib.Path(__file__).parents[2]
WHOLE = ("-m", "hybridlm")
WITHOUT_PICTURES = (
    "-c",
    "import sys; from hybridlm.reports import html; html.write = lambda *_, **__: None; "
    "from hybridlm.cli.main import main; sys.exit(main())",
)


class Command:
    """`place` takes the text and what is compiled; `changes` are by dotted name."""

    def __init__(self, place: pathlib.Path, changes: dict[str, object], config: str = tiny.__file__):
        tiny.write_text(place / "text")
        changes = {"data.sources": place / "text"} | changes
        changes = [f"--config.{name}={value}" for name, value in changes.items()]
        self._words = ["train", f"--config={config}", *changes]
        self._environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(place / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        }

    def start(self, workdir: pathlib.Path, program=WITHOUT_PICTURES, **environment: object) -> subprocess.Popen:
        """Starts a process; what it says is added to `<workdir>.log`."""
        words = [sys.executable, *program, *self._words, f"--workdir={workdir}"]
        environment = self._environment | {name: str(value) for name, value in environment.items()}
        with log_of(workdir).open("a") as log:
            return subprocess.Popen(words, cwd=ROOT, env=environment, stderr=log, stdout=log)


def log_of(workdir: pathlib.Path) -> pathlib.Path:
    return workdir.with_name(f"{workdir.name}.log")
