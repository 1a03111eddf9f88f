"""What a run ran on and with: versions, commit, devices, command line; kept beside the config as environment.json."""

import glob
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from hybridlm.config.errors import require

PACKAGES = ("hybridlm", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")

_SECRET = re.compile(r"token(?!s|i[sz])|key|secret|password|credential", re.IGNORECASE)
"""Flag names whose values stay out of files; `tokenizer` and `max_tokens` are no secrets."""
_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
_LOGIN = re.compile(r"://[^/@\s]+@")


def describe() -> dict:
    """Plain JSON; reads this machine only, never the network."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions(),
        "git": commit(Path(__file__).parent),
        "backend": jax.default_backend(),
        "devices": [f"{device.id}: {device.device_kind}" for device in jax.devices()],
        "processes": jax.process_count(),
        "command": redacted(sys.argv),
        "flags": {name: os.environ[name] for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS") if name in os.environ},
    }


def versions() -> dict[str, str | None]:
    """Version of every package whose change could change a run."""
    return {name: _version(name) for name in PACKAGES}


def check_accelerator() -> None:
    """Raises `ConfigError` where JAX would silently compute on the CPU of a machine that has an accelerator."""
    found = [path for pattern in _ACCELERATORS for path in sorted(glob.glob(pattern))]
    require(
        not found or bool(os.environ.get("JAX_PLATFORMS")) or jax.default_backend() != "cpu",
        f"this machine has an accelerator ({', '.join(found[:3])}), but JAX finds CPUs alone, most likely because it "
        "was installed without support for it; install hybridlm[cuda] or hybridlm[tpu], or set JAX_PLATFORMS=cpu if "
        "the CPU is meant.",
    )


def redacted(command: Sequence[str]) -> list[str]:
    """The command line with the values of secret flags, and logins inside URLs, replaced by ***."""
    safe, follows_secret = [], False
    for word in command:
        name, equals, _ = word.partition("=")
        is_secret = bool(_SECRET.search(name))
        if follows_secret and not word.startswith("-"):
            safe.append("***")
        elif is_secret and equals:
            safe.append(f"{name}=***")
        else:
            safe.append(_LOGIN.sub("://***@", word))
        follows_secret = is_secret and not equals and word.startswith("-")
    return safe


def commit(directory: Path) -> dict | None:
    """SHA and whether files differ from it, if a git checkout tracks the directory; None otherwise."""
    sha = _git(directory, "rev-parse", "HEAD")
    # An environment may lie inside somebody's checkout without belonging to it.
    if sha is None or _git(directory, "ls-files", "--error-unmatch", ".") is None:
        return None
    return {"sha": sha, "is_dirty": bool(_git(directory, "status", "--porcelain"))}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        ended = subprocess.run(
            ["git", "-C", directory, *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
