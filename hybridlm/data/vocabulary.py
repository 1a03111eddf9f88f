"""What is known of a vocabulary once its rows are prepared: small files that a checkpoint carries along.

With them a model can be scored on new text, in the same categories, without the rows it was trained on.
"""

import dataclasses
import json

import numpy as np
import pyarrow
from etils import epath
from jaxtyping import Int

from hybridlm.categories.lexicon import Lexicon, WordRanks
from hybridlm.config.errors import ConfigError
from hybridlm.data import tokenizer_files
from hybridlm.data.damage import DamagedData, sha256
from hybridlm.data.tokenizer import Tokenizer

COUNTS, WORDS, TERMS, DOMAINS = "counts.npy", "words.txt.zst", "terms.json.zst", "domains.json"


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Attributes:
    tokenizer: text to ids and back. counts_V: how often each id stands in the training rows, padding left out.
    word_ranks: word -> rank by frequency in the training split. terms: domain -> words far more frequent there than
    elsewhere. domains: names of the values of `language`.
    """

    tokenizer: Tokenizer
    counts_V: Int[np.ndarray, "V"]
    word_ranks: WordRanks
    terms: dict[str, frozenset[str]]
    domains: tuple[str, ...]

    @property
    def lexicon(self) -> Lexicon:
        """What families of labels may know of words; what nobody counted is None there."""
        return Lexicon(ranks=self.word_ranks or None, terms=self.terms or None)


def save_vocabulary(vocabulary: Vocabulary, directory: epath.PathLike) -> dict[str, str]:
    """Writes the files into the directory, made if need be, and returns the SHA-256 of each."""
    directory = epath.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary.tokenizer.save(directory)
    with (directory / COUNTS).open("wb") as stream:
        np.save(stream, vocabulary.counts_V)
    words = sorted(vocabulary.word_ranks, key=vocabulary.word_ranks.__getitem__)
    (directory / WORDS).write_bytes(_compressed("\n".join(words)))
    terms = {domain: sorted(terms) for domain, terms in vocabulary.terms.items()}
    (directory / TERMS).write_bytes(_compressed(json.dumps(terms, ensure_ascii=False, sort_keys=True)))
    (directory / DOMAINS).write_text(json.dumps(vocabulary.domains, ensure_ascii=False))
    return {name: sha256(directory / name) for name in (vocabulary.tokenizer.file_name, COUNTS, WORDS, TERMS, DOMAINS)}


def load_vocabulary(directory: epath.PathLike) -> Vocabulary:
    """Reads what `save_vocabulary` wrote; raises ConfigError where a file is missing."""
    directory = epath.Path(directory)
    if missing := [name for name in (COUNTS, WORDS, TERMS, DOMAINS) if not (directory / name).exists()]:
        raise ConfigError(
            f"{directory} lacks {', '.join(missing)}, so it holds no vocabulary; name a directory of prepared data or "
            "a checkpoint, or prepare the data anew."
        )
    with (directory / COUNTS).open("rb") as stream:
        counts_V = np.load(stream)
    words = _text((directory / WORDS).read_bytes()).split("\n")
    return Vocabulary(
        tokenizer=tokenizer_files.load(directory),
        counts_V=counts_V,
        word_ranks={word: rank for rank, word in enumerate(words) if word},
        terms={
            domain: frozenset(terms) for domain, terms in json.loads(_text((directory / TERMS).read_bytes())).items()
        },
        domains=tuple(json.loads((directory / DOMAINS).read_text())),
    )


def check_files(directory: epath.Path, hashes: dict[str, str]) -> None:
    """Raises DamagedData where a file is missing or does not have its recorded hash."""
    for name, expected in hashes.items():
        if not (directory / name).exists() or sha256(directory / name) != expected:
            raise DamagedData(directory / name, "it is missing, or its SHA-256 is not the one recorded in the manifest")


def _compressed(text: str) -> bytes:
    return pyarrow.compress(text.encode(), "zstd", asbytes=True)


def _text(compressed: bytes) -> str:
    with pyarrow.CompressedInputStream(pyarrow.BufferReader(compressed), "zstd") as stream:
        return stream.read().decode()
