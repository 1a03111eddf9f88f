"""Tokenizers of the `tokenizers` library: byte-level BPE trained here, or any `tokenizer.json` that keeps every byte.

A space that the file would put before the first word is left out: it is not in the text.
"""

import json
from collections.abc import Callable, Iterable, Iterator

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from hybridlm.data import byte_pairs
from hybridlm.data.byte_pairs import BYTE
from hybridlm.data.tokenizer import SPACE, Tokenizer, special_ids

FILE_NAME = "tokenizer.json"
SPECIALS = ["<pad>", "<bos>", "<eos>", "<mask>"]


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE over the texts; the special tokens come first, then all 256 bytes, then the merges."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return from_bytes(json.dumps(byte_pairs.by_rank(backend), ensure_ascii=False).encode())


def from_bytes(content: bytes) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`."""
    fields = _without_prefix_space(json.loads(content))
    backend = tokenizers.Tokenizer.from_str(json.dumps(fields))
    backend.encode_special_tokens = True  # "<eos>" in a text is five characters
    backend.no_padding()
    backend.no_truncation()
    id_of = backend.get_vocab(with_added_tokens=True)
    added = backend.get_added_tokens_decoder()
    specials = special_ids({token.content: n for n, token in added.items() if token.special}, max(id_of.values()) + 1)
    pieces = [b""] * (max(*id_of.values(), *specials.values()) + 1)
    as_bytes = _byte_level if _is_byte_level(backend) else _with_fallback
    for piece, index in id_of.items():
        pieces[index] = as_bytes(piece)
    for index, token in added.items():
        pieces[index] = b"" if token.special else token.content.encode()
    return Tokenizer(
        FILE_NAME, content, tuple(pieces), **specials, encode=byte_pairs.encoder(fields, _encoder(backend))
    )


def _encoder(backend: tokenizers.Tokenizer) -> Callable[[list[str]], Iterator[list[int]]]:
    def encode(texts: list[str]) -> Iterator[list[int]]:
        return (encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False))

    return encode


def _is_byte_level(backend: tokenizers.Tokenizer) -> bool:
    return "ByteLevel" in f"{backend.pre_tokenizer!r} {backend.decoder!r}"


def _byte_level(piece: str) -> bytes:
    return bytes(BYTE[c] for c in piece) if all(c in BYTE for c in piece) else piece.encode()


def _with_fallback(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(SPACE, " ").encode()


def _without_prefix_space(fields: dict) -> dict:
    return fields | {part: _plain(fields.get(part)) for part in ("normalizer", "pre_tokenizer")}


def _plain(node):
    if not isinstance(node, dict):
        return node
    if node.get("type") == "Prepend":
        return None
    off = {"add_prefix_space": False, "prepend_scheme": "never"}
    plain = node | {key: value for key, value in off.items() if key in node}
    for inner in ("normalizers", "pretokenizers"):
        if inner in node:
            plain[inner] = [part for part in map(_plain, node[inner]) if part]
    return plain
