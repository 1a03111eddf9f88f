"""A tokenizer as exact bytes: the token bytes of an encoded text, joined, are the text's UTF-8 bytes.

Exactness is what lets nats per token become bits per byte, and words and categories find their tokens.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from etils import epath
from jaxtyping import Int

SPECIAL_NAMES = {
    "pad": ("<pad>", "[PAD]", "<|pad|>"),
    "bos": ("<bos>", "<s>", "<|begin_of_text|>", "<|startoftext|>", "[CLS]", "<|endoftext|>"),
    "eos": ("<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>", "[SEP]"),
    "mask": ("<mask>", "[MASK]", "<|mask|>", "<|mdm_mask|>"),
}
"""Role -> its names in common vocabularies, the most telling first. GPT-2 opens and ends a text with one token."""

SPACE = "▁"
"""How sentencepiece and its relatives write a space."""


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back.

    Attributes:
      file_name: "tokenizer.json" or "tokenizer.model". content: that file, which is all that `save` writes.
      token_bytes: the bytes each id stands for; b"" for special ids and holes of the vocabulary.
      pad, bos, eos, mask: special ids; those the file lacks follow its last id.
      encode: texts to lists of ids, with no special id among them, whatever the text says.
    """

    file_name: str
    content: bytes
    token_bytes: tuple[bytes, ...]
    pad: int
    bos: int
    eos: int
    mask: int
    encode: Callable[[list[str]], Iterable[Sequence[int]]] = dataclasses.field(repr=False, compare=False)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return len(self.token_bytes)

    @functools.cached_property
    def sha256(self) -> str:
        """Identity of the vocabulary."""
        return hashlib.sha256(self.content).hexdigest()

    @functools.cached_property
    def byte_lengths(self) -> Int[np.ndarray, "V"]:
        """Bytes per id."""
        return np.array([len(piece) for piece in self.token_bytes], np.int32)

    def encode_batch(self, texts: list[str]) -> list[Int[np.ndarray, "T"]]:
        """The ids of every text; in parallel where the library knows how."""
        return [np.asarray(ids, np.int32) for ids in self.encode(texts)]

    def to_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that the ids stand for."""
        return b"".join(map(self.token_bytes.__getitem__, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; bytes that are no UTF-8, as inside a cut character, become U+FFFD."""
        return self.to_bytes(ids).decode("utf-8", "replace")

    def save(self, directory: epath.PathLike) -> None:
        """Writes `tokenizer.json` or `tokenizer.model` into the directory."""
        (epath.Path(directory) / self.file_name).write_bytes(self.content)


def special_ids(id_of: Mapping[str, int], end: int) -> dict[str, int]:
    """Role -> id: by name where the vocabulary has one, else the next free id from `end` on."""
    ids = {}
    for role, names in SPECIAL_NAMES.items():
        ids[role] = next((id_of[name] for name in names if name in id_of), end)
        end += ids[role] == end
    return ids
