"""From labels of a text's bytes to labels of its tokens, exact even where a token ends inside a character.

Three rules give a token one label: `majority` (that of most of its bytes, of equals the one that comes first;
whitespace has a voice only where there is nothing else), `first` (that of its first byte with another label than 0) and
`any` (the highest label among its bytes). So a leading space belongs to what follows. The fourth, `split`, gives a
token's share of bytes per label instead, the only rule under which two tokenizers can be compared.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int, Int8, UInt8

from hybridlm.config.errors import ConfigError, require


def byte_ends(text: str, ids_N: Int[np.ndarray, "N"], token_bytes: Sequence[bytes]) -> Int[np.ndarray, "N"]:
    """Where every token ends in the UTF-8 bytes of the text; raises ConfigError unless the tokens spell the text."""
    pieces = [token_bytes[index] for index in ids_N.tolist()]
    spelled, written = b"".join(pieces), utf8(text)
    if spelled != written:
        raise ConfigError(_difference(spelled, written))
    return np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))


def utf8(text: str) -> bytes:
    """The bytes of a text; raises ConfigError where it holds half a surrogate pair, which has none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"character {error.start} of the text is half a surrogate pair, which UTF-8 cannot write; decode the "
            "source with errors='replace', or leave the document out."
        ) from error


def _difference(spelled: bytes, written: bytes) -> str:
    at = next(
        (n for n, pair in enumerate(zip(spelled, written)) if pair[0] != pair[1]), min(len(spelled), len(written))
    )
    return (
        f"the tokens spell {spelled[at : at + 12]!r} at byte {at} where the text has {written[at : at + 12]!r}, so "
        "nobody can say which token a label belongs to. The tokenizer folds case, spaces or accents, or a special "
        "token is among them: take byte-level BPE or byte fallback, without normalisation and without special tokens."
    )


def check_ends(ends_N: Int[np.ndarray, "N"], tokens: int, size: int) -> None:
    """Raises ConfigError unless these can be the byte ends of so many tokens in a text of `size` bytes."""
    require(
        len(ends_N) == tokens,
        f"there are {tokens} token ids and {len(ends_N)} byte ends; pass one end per token, special tokens included.",
    )
    last = int(ends_N[-1]) if tokens else 0
    require(
        last == size,
        f"the last token must end with the text, at byte {size}, but it ends at {last}; do the ends count characters, "
        "or were special tokens left out? `alignment.byte_ends` makes and checks them.",
    )
    falls = np.flatnonzero(np.diff(ends_N, prepend=0) < 0)
    require(len(falls) == 0, f"byte ends must never fall, but token {next(iter(falls), 0)} ends before it begins.")


def to_tokens(
    rule: str, labels_S: Int8[np.ndarray, "S"], ends_N: Int[np.ndarray, "N"], bytes_S: UInt8[np.ndarray, "S"]
) -> Int8[np.ndarray, "N"]:
    """One label per token; 0 for a token of no bytes."""
    begins_N = np.append(0, ends_N[:-1])
    has_bytes_N = begins_N < ends_N
    labels_N = np.zeros(len(ends_N), np.int8)
    if has_bytes_N.any():
        begins, ends = begins_N[has_bytes_N], ends_N[has_bytes_N]
        labels_N[has_bytes_N] = RULES[rule](labels_S, begins, ends, _IS_BLANK[bytes_S])
    return labels_N


def split(labels_S: Int8[np.ndarray, "S"], ends_N: Int[np.ndarray, "N"], labels: int) -> Float[np.ndarray, "N L"]:
    """The share of every token's bytes that each of `labels` labels has; a token of no bytes is wholly label 0."""
    sizes_N = np.diff(ends_N, prepend=0)
    token_S = np.repeat(np.arange(len(ends_N)), sizes_N)
    bytes_NL = np.bincount(token_S * labels + labels_S, minlength=len(ends_N) * labels).reshape(-1, labels)
    shares_NL = bytes_NL / np.maximum(sizes_N, 1)[:, None]
    shares_NL[sizes_N == 0, 0] = 1
    return shares_NL


def _majority(labels_S, begins, ends, is_blank_S):
    labels_N = np.maximum.reduceat(labels_S, begins)
    mixed = np.flatnonzero(np.minimum.reduceat(labels_S, begins) != labels_N)
    sizes = ends[mixed] - begins[mixed]
    token, first = np.repeat(np.arange(len(mixed)), sizes), np.cumsum(sizes) - sizes
    byte = np.arange(len(token)) + np.repeat(begins[mixed] - first, sizes)
    label = labels_S[byte].astype(np.int64)
    has_text = np.bincount(token, ~is_blank_S[byte], minlength=len(mixed)) > 0
    votes = ~(is_blank_S[byte] & has_text[token])
    counts = np.bincount(token * 128 + label, votes, minlength=len(mixed) * 128).reshape(-1, 128)
    winners = np.flatnonzero(votes & (counts[token, label] == counts.max(1, initial=0)[token]))
    labels_N[mixed] = label[winners[np.searchsorted(winners, first)]]
    return labels_N


def _first(labels_S, begins, ends, is_blank_S):
    labelled = np.append(np.flatnonzero(labels_S), len(labels_S))
    found = labelled[np.searchsorted(labelled, begins)]
    return np.where(found < ends, np.append(labels_S, 0)[found], 0)


def _any(labels_S, begins, ends, is_blank_S):
    return np.maximum.reduceat(labels_S, begins)


_IS_BLANK = np.isin(np.arange(256), list(b" \t\n\r\f\v"))
RULES: dict[str, Callable] = {"majority": _majority, "first": _first, "any": _any}
"""Name -> (labels of bytes, begins, ends, is whitespace) -> labels of tokens, which have bytes and leave no gap."""
