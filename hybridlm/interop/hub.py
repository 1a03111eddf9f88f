"""Where a model lies: in a directory of this machine, or on the Hugging Face hub, from which it is fetched once."""

import re

from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.near_paths import near

FILES = ("*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer.json", "tokenizer.model")
"""What is fetched: weights and text, neither pickles nor code."""

_HUB_ID = re.compile(r"(?P<repo_id>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def locate(model: epath.PathLike) -> epath.Path:
    """The directory of a model named by its path, or by its id on the hub, "owner/name" or "owner/name@revision"."""
    if epath.Path(model).exists():
        return epath.Path(model)
    named = _HUB_ID.fullmatch(str(model))
    require(
        named is not None,
        f"there is no directory {str(model)!r}, and it is no id of the Hugging Face hub either, which would be "
        "owner/name or owner/name@revision.",
    )
    return epath.Path(_fetched(**named.groupdict()))


def _fetched(repo_id, revision):
    # Imported late: it is slow, and a path needs none of it.
    import huggingface_hub

    try:
        return huggingface_hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(FILES))
    except Exception as error:  # it raises its own, those of its HTTP library, and the system's
        hint = near(epath.Path(repo_id), lambda path: path.is_dir())
        raise ConfigError(
            f"there is no directory {repo_id!r} here{hint} The Hugging Face hub does not give it either "
            f"({str(error).partition(chr(10))[0]}). Check the spelling and the network; on a machine without one, "
            "fetch it elsewhere and name its directory."
        ) from error
