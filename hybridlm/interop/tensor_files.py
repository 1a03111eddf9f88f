"""The tensors of a directory of safetensors, one file or several under an index: shapes at once, numbers when asked."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence

import ml_dtypes  # noqa: F401  teaches numpy bfloat16, which safetensors asks it for
import numpy as np
import safetensors
import safetensors.numpy
from etils import epath
from jaxtyping import Float

from hybridlm.config.errors import ConfigError, require
from hybridlm.interop.fields import CONFIG

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("F32", "F16", "BF16")
SHARD_BYTES = 4 * 10**9


Renamed = Sequence[tuple[str, str]]
"""(regular expression, replacement): older names of tensors to the current ones."""


class Tensors:
    """Tensors by their current names; the files stay open for as long as `opened` lasts."""

    def __init__(self, files: list, renamed: Renamed = ()):
        stored = [(file, name) for file in files for name in file.keys()]  # noqa: SIM118  no mapping
        self._place_of = {_renamed(name, renamed): (file, name) for file, name in stored}

    @property
    def names(self) -> set[str]:
        """All names there are."""
        return set(self._place_of)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape, from the header; refused where the numbers are no floats."""
        file, stored = self._place_of[name]
        header = file.get_slice(stored)
        require(
            header.get_dtype() in FLOATS,
            f"tensor {name!r} is stored as {header.get_dtype()}, and only {', '.join(FLOATS)} are read; take weights "
            "that are not quantised.",
        )
        return tuple(header.get_shape())

    def read(self, name: str) -> Float[np.ndarray, "..."]:
        """The numbers, in the precision they are stored in."""
        file, stored = self._place_of[name]
        return file.get_tensor(stored)


@contextlib.contextmanager
def opened(directory: epath.Path, renamed: Renamed = ()) -> Iterator[Tensors]:
    """The tensors of the directory's safetensors."""
    require(
        "://" not in str(directory),
        f"{directory} is no local directory, and safetensors are read through memory maps; copy it to a local disk.",
    )
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_open(path)) for path in weight_files(directory)]
        _check_index(directory, files)
        yield Tensors(files, renamed)


def weight_files(directory: epath.Path) -> list[epath.Path]:
    """The files that hold the weights, in order."""
    if (directory / INDEX).exists():
        names = sorted(set(_index(directory).values()))
        outside = [name for name in names if epath.Path(name).name != name]
        require(not outside, f"{directory / INDEX} names {outside}, which do not lie beside it; fetch the model anew.")
        files = [directory / name for name in names]
        missing = [path.name for path in files if not path.exists()]
        require(not missing, f"{directory} lacks {', '.join(missing)}, which its {INDEX} names; fetch them again.")
        return files
    if (directory / WEIGHTS).exists():
        return [directory / WEIGHTS]
    pickled = sorted(path.name for path in directory.glob("*.bin"))
    require(
        not pickled,
        f"{directory} holds weights only as pickles ({', '.join(pickled)}), which can run any code when opened and are "
        "never read. Take the safetensors of the same model, or turn them into safetensors where you trust them.",
    )
    raise ConfigError(f"{directory} holds no weights: neither {WEIGHTS} nor {INDEX} is there.")


def fingerprint(directory: epath.PathLike) -> str:
    """SHA-256 of the names and contents of config.json and all weights, which says what was scored."""
    total = hashlib.sha256()
    directory = epath.Path(directory)
    for path in [directory / CONFIG, *weight_files(directory)]:
        with path.open("rb") as stream:
            total.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def write(directory: epath.Path, tensors: Iterable[tuple[str, np.ndarray]], shard_bytes: int = SHARD_BYTES) -> None:
    """Writes one file, or several with their index, none much longer than `shard_bytes`."""
    index, sizes = {}, []
    for shard in _shards(tensors, shard_bytes):
        sizes.append(sum(tensor.nbytes for tensor in shard.values()))
        name = f"model-{len(sizes):05}.safetensors"
        (directory / name).write_bytes(safetensors.numpy.save(shard, metadata={"format": "pt"}))
        index |= dict.fromkeys(shard, name)
    if len(sizes) == 1:
        (directory / name).rename(directory / WEIGHTS)
    else:
        whole = {"metadata": {"total_size": sum(sizes)}, "weight_map": index}
        (directory / INDEX).write_text(json.dumps(whole, indent=2))


def _shards(tensors, shard_bytes):
    shard, size = {}, 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > shard_bytes:
            yield shard
            shard, size = {}, 0
        shard[name], size = tensor, size + tensor.nbytes
    yield shard


def _open(path):
    try:
        return safetensors.safe_open(path, "numpy")
    except safetensors.SafetensorError as error:
        size = path.stat().length
        raise ConfigError(
            f"{path} ({size} bytes) is damaged or cut short ({error}); fetch it again and compare its size or SHA-256."
        ) from error


def _index(directory):
    try:
        return json.loads((directory / INDEX).read_text())["weight_map"]
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{directory / INDEX} is damaged ({error!r}); fetch it again.") from error


def _check_index(directory, files):
    stored = {name for file in files for name in file.keys()}  # noqa: SIM118  no mapping
    named = set(_index(directory)) if (directory / INDEX).exists() else stored
    require(
        named == stored,
        f"{directory / INDEX} and the files it names disagree about {sorted(named ^ stored)[:5]}; fetch all of them "
        "again.",
    )


def _renamed(name, renamed):
    for old, new in renamed:
        name = re.sub(old, new, name)
    return name
