"""Rank files of tiktoken, rewritten as a `tokenizer.json`, which is what is saved: it needs neither file nor package.

A rank file holds every token in the order of its merge, and nothing of the pattern that cuts a text before merging.
That pattern is the one of the encoding that the file is named after, taken from the package tiktoken.
"""

import base64
import re
import types

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from hybridlm.config.errors import ConfigError, require
from hybridlm.data import tokenizer_json
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
    merges = [halves for token in sorted(ranks, key=ranks.__getitem__) for halves in _halves(token, ranks)]
    vocabulary = {_written(token): rank for token, rank in ranks.items()}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    cut = pre_tokenizers.Split(tokenizers.Regex(_pattern(encoding)), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([cut, as_bytes])
    backend.decoder = decoders.ByteLevel()
    return tokenizer_json.from_bytes(backend.to_str().encode())


def _token_and_rank(line: bytes) -> tuple[bytes, int]:
    token, rank = line.split()
    return base64.b64decode(token, validate=True), int(rank)


def _halves(token: bytes, ranks: dict[bytes, int]) -> list[tuple[str, str]]:
    """All pairs of tokens that merge into this one: tiktoken ranks what comes out, whichever pair it comes from."""
    pairs = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
    return [(_written(left), _written(right)) for left, right in pairs if left in ranks and right in ranks]


def _written(token: bytes) -> str:
    return "".join(map(tokenizer_json.CHARACTER.__getitem__, token))


def _pattern(encoding: str) -> str:
    require(
        encoding in ENCODINGS,
        f"data.tokenizer: a rank file is named after the encoding whose pattern cuts its text, and {encoding!r} is "
        f"none of {', '.join(ENCODINGS)}. Call it cl100k_base.tiktoken, for one, or own.cl100k_base.tiktoken.",
    )
    try:
        from tiktoken_ext import openai_public
    except ImportError as error:
        raise ConfigError(
            f"data.tokenizer: the pattern of {encoding} comes with the package tiktoken, which cannot be imported "
            f"({error}). Install it: pip install tiktoken"
        ) from error
    # The definition of an encoding fetches its ranks. It runs here with none, so that only the pattern is made.
    definition = getattr(openai_public, encoding)
    without_ranks = vars(openai_public) | {"load_tiktoken_bpe": lambda *_, **__: {}}
    pattern = types.FunctionType(definition.__code__, without_ranks)()["pat_str"]
    # In the regular expressions of `tokenizers`, {1,3}+ would repeat the group instead of keeping what it took.
    return re.sub(r"(\{\d+,\d+\})\+", r"\1", pattern)
