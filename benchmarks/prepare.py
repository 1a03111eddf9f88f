"""What preparing text costs, phase by phase: wall clock and processor time of all processes.

    python -m benchmarks.prepare --data=data/corpus/prose.jsonl.zst --vocab-size=16384

Rows go to a temporary directory. The opponent is the same text encoded by the library `tokenizers` with the tokenizer
that was trained, in one process with its own threads, without checks, labels or rows.
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


def opponent(prepared: Prepared, text: Source) -> None:
    """The library alone on the same text."""
    backend = tokenizers.Tokenizer.from_str(prepared.tokenizer.content.decode())
    backend.encode_special_tokens = True
    found = (document.text for document in sources.read(text, AuditConfig()) if hasattr(document, "text"))
    texts, tokens = list(found), 0
    begun = time.perf_counter()
    for first in range(0, len(texts), BATCH):
        encoded = backend.encode_batch_fast(texts[first : first + BATCH], add_special_tokens=False)
        tokens += sum(len(one.ids) for one in encoded)
    seconds = time.perf_counter() - begun
    print(f"`tokenizers` alone: {tokens:,} tokens in {seconds:.2f} s, {tokens / seconds / 1e6:.2f}M tokens/s")


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
        opponent(prepared, text)


if __name__ == "__main__":
    main()
