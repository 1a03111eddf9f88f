"""Rank files of tiktoken, rewritten as a `tokenizer.json`, which is what is saved: it needs neither file nor package.

A rank file holds every token in the order of its merge, and nothing of the pattern that cuts a text before merging.
That pattern is the one of the encoding that the file is named after, taken from the package tiktoken.
"""

import base64
import re
import types

from tiktoken_ext import openai_public

from hybridlm.config.errors import require
from hybridlm.data import byte_pairs, tokenizer_json
from hybridlm.data.tokenizer import Tokenizer

ENCODINGS = ("r50k_base", "p50k_base", "cl100k_base", "o200k_base")


def from_bytes(content: bytes, encoding: str) -> Tokenizer:
    """The tokenizer of a rank file; special ids follow the ranks."""
    ranks = dict(_token_and_rank(line) for line in content.splitlines() if line)
    lacking = [byte for byte in range(256) if bytes([byte]) not in ranks]
    require(
        not lacking,
        f"data.tokenizer: the rank file has no token for {len(lacking)} of the 256 bytes, so it cannot write every "
        "text. Take a file that begins with all of them.",
    )
    return tokenizer_json.from_bytes(byte_pairs.backend(ranks, _pattern(encoding)).to_str().encode())


def _token_and_rank(line: bytes) -> tuple[bytes, int]:
    token, rank = line.split()
    return base64.b64decode(token, validate=True), int(rank)


def _pattern(encoding: str) -> str:
    require(
        encoding in ENCODINGS,
        f"data.tokenizer: a rank file is named after the encoding whose pattern cuts its text, and {encoding!r} is "
        f"none of {', '.join(ENCODINGS)}. Call it cl100k_base.tiktoken, for one, or own.cl100k_base.tiktoken.",
    )
    # The definition of an encoding fetches its ranks. It runs here with none, so that only the pattern is made.
    definition = getattr(openai_public, encoding)
    without_ranks = vars(openai_public) | {"load_tiktoken_bpe": lambda *_, **__: {}}
    pattern = types.FunctionType(definition.__code__, without_ranks)()["pat_str"]
    # In the regular expressions of `tokenizers`, {1,3}+ would repeat the group instead of keeping what it took.
    return re.sub(r"(\{\d+,\d+\})\+", r"\1", pattern)
