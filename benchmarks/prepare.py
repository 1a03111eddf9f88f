"""What preparing text costs, phase by phase: wall clock and processor time of all processes.

    python -m benchmarks.prepare --data=data/corpus/prose.jsonl.zst --vocab-size=16384

Rows go to a temporary directory. Then our engine and the library `tokenizers` encode the same text with the tokenizer
that was trained, each in one process with its own threads, without checks, labels or rows.
"""

import argparse
import contextlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator

import tokenizers

from hybridlm.config.data import DataConfig
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import sources
from hybridlm.data.prepare import prepare
from hybridlm.data.prepared import Prepared

BATCH = 256
"""Documents given to the library at once."""


def processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@contextlib.contextmanager
def timed(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress that prints what a phase took, and how much text passed it in a second."""
    wall, processor = time.perf_counter(), processor_seconds()
    yield lambda done: None
    wall, processor = time.perf_counter() - wall, processor_seconds() - processor
    speed = f"{total / wall / 1e6:8.2f} MB/s" if total else ""
    print(f"  {title:<40} {wall:7.2f} s, {processor:7.2f} s of processors {speed}", flush=True)


def engines(prepared: Prepared, text: Source) -> None:
    """Our engine and the library, each alone on the same text: wall clock, and tokens per second of processor time."""
    found = (document.text for document in sources.read(text, AuditConfig()) if hasattr(document, "text"))
    texts = list(found)
    library = tokenizers.Tokenizer.from_str(prepared.tokenizer.content.decode())
    library.encode_special_tokens = True
    ways = {
        "tokenizers": lambda batch: [one.ids for one in library.encode_batch_fast(batch, add_special_tokens=False)],
        "hybridlm": prepared.tokenizer.encode_batch,
    }
    for name, encode in ways.items():
        wall, processor = time.perf_counter(), processor_seconds()
        tokens = sum(len(ids) for first in range(0, len(texts), BATCH) for ids in encode(texts[first : first + BATCH]))
        wall, processor = time.perf_counter() - wall, processor_seconds() - processor
        speed = f"{tokens / wall / 1e6:.2f}M tokens/s, {tokens / processor / 1e6:.2f}M a second of processors"
        print(f"`{name}` alone: {tokens:,} tokens in {wall:.2f} s, {speed}", flush=True)


def main() -> None:
    """Prints the phases, tokens per second, and the opponent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="text: a file, a directory or a glob")
    parser.add_argument("--vocab-size", type=int, default=16_384)
    parser.add_argument("--row-length", type=int, default=512)
    flags = parser.parse_args()
    text = Source(path=flags.data)
    config = DataConfig(sources=(text,), vocab_size=flags.vocab_size, row_length=flags.row_length)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        prepared = prepare(config, f"{scratch}/rows", progress=timed)
        seconds = time.perf_counter() - begun
        tokens = sum(split.tokens["text"] for split in prepared.manifest.splits.values())
        print(f"all of it: {tokens:,} tokens in {seconds:.2f} s, {tokens / seconds / 1e6:.2f}M tokens/s")
        engines(prepared, text)


if __name__ == "__main__":
    main()
