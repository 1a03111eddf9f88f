"""Tokenizers by file: what a suffix says about the library that made it."""

from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.data import tokenizer_json, tokenizer_sentencepiece, tokenizer_tiktoken
from hybridlm.data.tokenizer import Tokenizer

SAVED = {".json": tokenizer_json.from_bytes, ".model": tokenizer_sentencepiece.from_bytes}
"""Suffix -> reader, of the files that a tokenizer saves itself as."""


def load(path: epath.PathLike) -> Tokenizer:
    """A tokenizer from its file, or from a directory that holds `tokenizer.json` or `tokenizer.model`."""
    path = epath.Path(path)
    inside = [path / f"tokenizer{suffix}" for suffix in SAVED]
    path = next((file for file in inside if file.exists()), path)
    require(
        path.suffix in (*SAVED, ".tiktoken") and path.exists(),
        f"data.tokenizer={str(path)!r} is no tokenizer: give a tokenizer.json, a sentencepiece .model, a rank "
        "file .tiktoken, a directory that holds one of the first two under the name tokenizer, or 'train'.",
    )
    try:
        return _read(path)
    except ConfigError:
        raise
    except Exception as error:  # the libraries raise whatever they like on a file that is none of theirs
        raise ConfigError(f"{path} cannot be read as a tokenizer ({error}); is it the file it is named for?") from error


def _read(path: epath.Path) -> Tokenizer:
    if path.suffix == ".tiktoken":
        return tokenizer_tiktoken.from_bytes(path.read_bytes(), path.stem.rpartition(".")[2])
    return SAVED[path.suffix](path.read_bytes())
