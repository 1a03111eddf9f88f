"""How fast labels per position are made on one core: `python benchmarks/labels.py --data=FILE.jsonl` (or .jsonl.zst).

The first documents of the JSON lines are encoded with a byte-level BPE trained on them. Then every family labels them
alone, charged with every reading of the text that it needs, and all families label them together, sharing these. Goals:
1 million tokens a second for families of ids and tables, and 0.1 million characters a second for code.
"""

import argparse
import dataclasses
import io
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow

from hybridlm.categories import alignment, bigrams, lexicon, registry
from hybridlm.categories.compiler import compile_document
from hybridlm.categories.family import Family
from hybridlm.categories.lexicon import Lexicon
from hybridlm.data import tokenizer_json

REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A text, its tokens and where they end."""

    text: str
    ids_N: np.ndarray
    ends_N: np.ndarray


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="JSON lines with a field `text`, also .zst")
    parser.add_argument("--language", help="name of the domain, such as code_python; the file's name otherwise")
    parser.add_argument("--megabytes", type=float, default=2.0, help="text to label")
    parser.add_argument("--vocab_size", type=int, default=8192)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    language = options.language or os.path.basename(options.data).partition(".")[0]
    documents = encoded(list(texts(options.data, options.megabytes * 1e6)), options.vocab_size)
    counts = {language: lexicon.count(document.text for document in documents), "other": {}}
    known = Lexicon(
        ranks=lexicon.rank(counts),
        terms=lexicon.domain_terms(counts),
        bigrams=bigrams.count(document.ids_N for document in documents),
    )
    tokens, characters = (sum(map(len, part)) for part in zip(*((d.ids_N, d.text) for d in documents)))
    print(f"{language}: {len(documents)} documents, {tokens:,} tokens, {characters / tokens:.2f} characters a token")
    families = registry.compilable(known)
    for chosen in ([family] for family in families):
        report(chosen[0].name, seconds(chosen, documents, language, known), tokens, characters)
    report(f"all {len(families)}", seconds(families, documents, language, known), tokens, characters)


def texts(path: str, size: float) -> Iterator[str]:
    """The texts of the first documents, up to the one that reaches `size` characters."""
    with io.TextIOWrapper(pyarrow.input_stream(path), "utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            yield text
            size -= len(text)
            if size <= 0:
                return


def encoded(texts: list[str], vocab_size: int) -> list[Encoded]:
    """The texts with their tokens, checked byte for byte."""
    tokenizer = tokenizer_json.train(texts, vocab_size)
    ids = tokenizer.encode_batch(texts)
    return [
        Encoded(text, ids_N, alignment.byte_ends(text, ids_N, tokenizer.token_bytes)) for text, ids_N in zip(texts, ids)
    ]


def seconds(families: Sequence[Family], documents: list[Encoded], language: str, known: Lexicon) -> list[float]:
    """Processor time to label all documents, several times over; tables of code points are made before the first."""
    took = []
    for _ in range(1 + REPEATS):
        began = time.process_time()
        for document in documents:
            compile_document(families, document.text, document.ids_N, document.ends_N, language, known)
        took.append(time.process_time() - began)
    return took[1:]


def report(name: str, took: list[float], tokens: int, characters: int):
    typical = statistics.median(took)
    print(
        f"{name:20} {tokens / typical / 1e6:7.2f} M tokens/s {characters / typical / 1e6:7.2f} M characters/s   "
        f"({tokens / max(took) / 1e6:.2f} to {tokens / min(took) / 1e6:.2f} M tokens/s in {REPEATS} repeats)"
    )


if __name__ == "__main__":
    main()
