"""Several processes of this machine that share the encoding of a corpus; each reads the sources for itself.

python -m hybridlm.data.workers WORK SIDE PART PARTS    encodes every PARTS-th chunk of one side of what WORK prepares
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from etils import epath

from hybridlm.categories import registry
from hybridlm.data import corpus_file, encoding
from hybridlm.data.corpus import Corpus
from hybridlm.data.directories import once
from hybridlm.data.encoding import Chunks
from hybridlm.data.vocabulary import Vocabulary, load_vocabulary, save_vocabulary

CORPUS, VOCABULARY, LABELS, CHUNKS = "corpus.parquet", "vocabulary", "labels.json", "chunks"
"""What a preparation leaves in its working directory for whoever encodes."""

LEAST_CHUNKS, MOST_PROCESSES = 2, 32
"""Fewer chunks are made sooner than a process is started; more processes would mostly read what is not theirs."""

SECONDS = 0.2
"""Between two looks at what the workers have finished."""


def leave(work: epath.Path, corpus: Corpus, vocabulary: Vocabulary, labels: Sequence[str], modules: Sequence[str]):
    """Writes down all that encoding takes, once."""
    once(work / CORPUS, lambda path: corpus_file.save(corpus, path))
    once(work / LABELS, lambda path: path.write_text(json.dumps({"labels": labels, "modules": modules})))
    once(work / VOCABULARY, lambda path: save_vocabulary(vocabulary, path))


def find(work: epath.Path) -> tuple[Corpus, Vocabulary, tuple[Chunks, ...]]:
    """What `leave` wrote, and the chunks of both sides."""
    corpus, vocabulary = corpus_file.load(work / CORPUS), load_vocabulary(work / VOCABULARY)
    asked = json.loads((work / LABELS).read_text())
    registry.load(asked["modules"])
    sides = encoding.sides(corpus, vocabulary, asked["labels"])
    return corpus, vocabulary, tuple(Chunks(corpus, side, work / CHUNKS) for side in sides)


def encode(chunks: Chunks, vocabulary: Vocabulary, work: epath.Path, part: int, parts: int, advance) -> None:
    """Makes what is missing of a part, in a process for each core, or in this one if it is little."""
    missing = chunks.missing(part, parts)
    processes = min(os.cpu_count() or 1, MOST_PROCESSES, len(missing) // LEAST_CHUNKS)
    if processes < 2:
        chunks.make(missing, vocabulary, advance)
        return
    places = [(part + parts * worker, parts * processes) for worker in range(processes)]
    with started([[str(work), chunks.side.name, *map(str, place)] for place in places]) as workers:
        wait(workers, chunks, missing, advance)


@contextlib.contextmanager
def started(arguments: list[list[str]]) -> Iterator[list[subprocess.Popen]]:
    """A worker for each list of its arguments; those that still run are killed in the end."""
    # One thread each: the library's own threads and these processes would fight for the cores.
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "hybridlm.data.workers"]
    workers = [
        subprocess.Popen([*command, *more], env=environment, stderr=subprocess.PIPE, text=True) for more in arguments
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def wait(workers: list[subprocess.Popen], chunks: Chunks, missing: list[int], advance: Callable[[int], None]) -> None:
    """Returns when these chunks are made; raises OSError with what it said if a worker fails."""
    left = set(missing)
    while left:
        failed = next((worker for worker in workers if worker.poll()), None)
        if failed:
            # OSError, since its own error has been through another process and is text by now
            raise OSError(f"a process that encodes text has failed: {failed.stderr.read().strip()[-2000:]}")
        done = left - set(chunks.missing())
        advance(chunks.bytes(sorted(done)))
        left -= done
        if all(worker.poll() == 0 for worker in workers) and left & set(chunks.missing()):
            raise OSError("the processes that encode text ended without finishing; give the same command again.")
        time.sleep(SECONDS)


def main(work: str, side: str, part: str, parts: str) -> None:
    """One worker."""
    _, vocabulary, found = find(epath.Path(work))
    (chunks,) = (chunks for chunks in found if chunks.side.name == side)
    chunks.make(chunks.missing(int(part), int(parts)), vocabulary, lambda done: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # at a regular end the threads of a library may abort a process whose work is done
