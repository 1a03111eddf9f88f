"""Byte-level BPE in which the rank of a token alone decides what is merged first, as tiktoken defines it.

Written as a `tokenizer.json`, it names every pair of tokens that join to a token. Text is then encoded by tiktoken,
which gives the same ids as `tokenizers` several times as fast.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

import tiktoken
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

GPT2_CUT = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
"""What the pre-tokenizer `ByteLevel` cuts a text into, in words for an engine that would run out of stack otherwise."""

LONGEST_SPACE = 1 << 16
"""Characters of white space in a row up to which tiktoken's stack surely suffices."""

_LONG_SPACE = re.compile(rf"\s{{{LONGEST_SPACE}}}")


def _bytes_of_characters() -> dict[str, int]:
    """GPT-2's alphabet: a printable byte stands for itself, the others for the characters from 256 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


BYTE = _bytes_of_characters()
"""Character of a byte-level `tokenizer.json` -> the byte it stands for."""

CHARACTER = {byte: character for character, byte in BYTE.items()}

Encode = Callable[[list[str]], Iterator[list[int]]]


def backend(ranks: Mapping[bytes, int], cut: str = "") -> tokenizers.Tokenizer:
    """The tokenizer of these tokens; `cut`: pattern of what is merged within itself alone, GPT-2's if empty."""
    pairs = _pairs({_written(token): rank for token, rank in ranks.items()})
    model = models.BPE({_written(token): rank for token, rank in ranks.items()}, pairs, ignore_merges=True)
    made = tokenizers.Tokenizer(model)
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not cut)
    split = [pre_tokenizers.Split(tokenizers.Regex(cut), "isolated"), as_bytes]
    made.pre_tokenizer = pre_tokenizers.Sequence(split) if cut else as_bytes
    made.decoder = decoders.ByteLevel()
    return made


def encoder(fields: Mapping, otherwise: Encode) -> Encode:
    """How to encode with a `tokenizer.json`: by tiktoken if `backend` could have written it."""
    cut, model = _cut(fields), fields["model"]
    if not cut or not _is_by_rank(model):
        return otherwise
    ranks = {bytes(map(BYTE.__getitem__, token)): rank for token, rank in model["vocab"].items() if _is_bytes(token)}
    engine = tiktoken.Encoding("own", pat_str=cut, mergeable_ranks=ranks, special_tokens={})

    def encode(texts: list[str]) -> Iterator[list[int]]:
        fast = [text for text in texts if not _LONG_SPACE.search(text)]
        slow = otherwise([text for text in texts if _LONG_SPACE.search(text)])
        found = iter(engine.encode_ordinary_batch(fast))
        return (next(slow) if _LONG_SPACE.search(text) else next(found) for text in texts)

    return encode


def _cut(fields: Mapping) -> str:
    """The pattern that cuts a text, "" where something else is done to it before merging."""
    before = fields.get("pre_tokenizer") or {}
    plain = {"add_prefix_space": False, "trim_offsets": True}
    if fields.get("normalizer"):
        return ""
    if before == {"type": "ByteLevel", **plain, "use_regex": True}:
        return GPT2_CUT
    match before:
        case {"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated", **split}, as_bytes]}:
            is_plain = as_bytes == {"type": "ByteLevel", **plain, "use_regex": False} and not split["invert"]
            return split["pattern"].get("Regex", "") if is_plain else ""
    return ""


def _is_by_rank(model: Mapping) -> bool:
    options = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if model["type"] != "BPE" or not model["ignore_merges"] or any(model[option] for option in options):
        return False
    vocabulary = {token: rank for token, rank in model["vocab"].items() if _is_bytes(token)}
    is_whole = all(character in vocabulary for character in BYTE)
    return is_whole and [tuple(pair) for pair in model["merges"]] == _pairs(vocabulary)


def _is_bytes(token: str) -> bool:
    return all(character in BYTE for character in token)


def _pairs(ranks: Mapping[str, int]) -> list[tuple[str, str]]:
    """All pairs of tokens that join to a token, in the order of the ranks of what they join to."""
    return [
        (token[:cut], token[cut:])
        for token in sorted(ranks, key=ranks.__getitem__)
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    ]


def by_rank(trained: tokenizers.Tokenizer) -> dict:
    """A trained byte-level BPE as a `tokenizer.json` of this kind, special tokens kept."""
    fields = json.loads(trained.to_str())
    special = {token["content"] for token in fields["added_tokens"]}
    vocabulary = {token: rank for token, rank in fields["model"]["vocab"].items() if token not in special}
    fields["model"] |= {"ignore_merges": True, "merges": _pairs(vocabulary)}
    return fields


def _written(token: bytes) -> str:
    return "".join(map(CHARACTER.__getitem__, token))
