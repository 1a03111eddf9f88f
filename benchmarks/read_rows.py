"""How fast prepared rows become batches on one core: `python benchmarks/read_rows.py`.

A corpus of random words is prepared in a temporary directory, then `TrainStream.batch` is timed on warm files: shuffled
single rows, all columns, checksums and the check of token ids included. The goal is 4 million tokens a second.
"""

import json
import os
import pathlib
import statistics
import tempfile
import time

import numpy as np

from hybridlm.config.data import DataConfig
from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from hybridlm.data.stream import TrainStream

BATCH_TOKENS = 32_768
BATCHES = 30
REPEATS = 7


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "words.jsonl"
        source.write_text("\n".join(json.dumps({"text": text}) for text in documents()))
        for row_length in (128, 1024):
            config = DataConfig(sources=(str(source),), row_length=row_length)
            prepared = prepare(config, pathlib.Path(folder) / str(row_length), progress=silent)
            report(TrainStream(prepared.rows("train"), seed=0, batch_rows=BATCH_TOKENS // row_length))


def documents(count: int = 6_000) -> list[str]:
    """Texts of 20 to 400 words, words drawn by Zipf's law."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlu"))
    known = ["".join(random.choice(letters, random.integers(1, 9))) for _ in range(5_000)]
    lengths = random.integers(20, 400, count)
    return [" ".join(known[min(n, 4_999)] for n in random.zipf(1.3, length)) for length in lengths]


def report(stream: TrainStream):
    rates = []
    for repeat in range(REPEATS):
        began = time.perf_counter()
        for step in range(repeat * BATCHES, (repeat + 1) * BATCHES):
            stream.batch(step)
        rates.append(BATCHES * BATCH_TOKENS / (time.perf_counter() - began) / 1e6)
    rows = stream.rows
    print(
        f"T={rows.row_length}: {len(rows)} rows of {len(rows.names)} columns, {BATCH_TOKENS} tokens a batch: "
        f"median {statistics.median(rates):.2f} M tokens/s, {min(rates):.2f} to {max(rates):.2f} in {REPEATS} repeats"
    )


if __name__ == "__main__":
    main()
