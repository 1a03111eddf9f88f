"""The clients that fetch packages by name: the command of each, and what to say when it cannot run."""

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterable

from hybridlm.config.errors import require

_PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest=.")
_LINUX = [f"--platform={tag}_x86_64" for tag in ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28")]

COMMANDS = {
    "wheel": (*_PIP, "--only-binary=:all:", "--python-version=3.12", *_LINUX),  # the same file on every machine
    "sdist": (*_PIP, "--no-binary=:all:"),
    "npm": ("npm", "pack", "--silent"),
    "apt": ("apt-get", "download"),
}
_PINNED = {"wheel": "==", "sdist": "==", "npm": "@", "apt": "="}
_NEEDED = {"npm": ("npm",), "apt": ("apt-get", "dpkg-deb")}


def check(packages: Iterable[str]) -> None:
    """Raises ConfigError if a program is missing that one of the packages needs."""
    for package in packages:
        for program in _NEEDED.get(package.partition(":")[0], ()):
            require(
                shutil.which(program) is not None,
                f"{package} is fetched with {program}, and there is no such program here. Install it (npm comes with "
                "Node.js; apt-get and dpkg-deb are those of Debian 12), or name domains that do without in --domains.",
            )


def download(package: str, version: str, folder: pathlib.Path) -> None:
    """Puts the archive of a package into the folder; without a version, that of the newest there is.

    Raises:
      OSError: if the client fails, with the end of what it said.
    """
    client, name = package.split(":")
    wanted = f"{name}{_PINNED[client]}{version}" if version else name
    command = [*COMMANDS[client], wanted]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise OSError(f"the {client} package {wanted} could not be fetched: {said}")
