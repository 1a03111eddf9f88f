"""Writes the test documents of the standard corpus, one file a domain, for `hybridlm evaluate --data`.

bash run_tpu.sh experiments.smollm2.texts --corpus=data/corpus --output=data/held_out

Moby Dick stands in the corpus a second time, under another name and in training, so its chapters are left out.
"""

import json
import sys
from collections.abc import Iterator

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer

TWICE = "moby-dick/"
"""Part of the ids of the second copy."""
TEST = "test"


def main(argv: list[str]) -> int:
    """Writes `<output>/<domain>.jsonl` and prints how many documents and bytes each holds."""
    parser = Parser("experiments.smollm2.texts", __doc__)
    parser.add_argument("--corpus", required=True, help="what experiments.standard_corpus.build wrote")
    parser.add_argument("--output", required=True, help="a directory; files of the same name are replaced")
    flags, _ = parser.read(argv)

    from etils import epath

    source, output = epath.Path(flags.corpus), epath.Path(flags.output)
    output.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*.jsonl.zst")):
        lines = list(held_out(file))
        name = file.name.removesuffix(".zst")
        (output / name).write_text("".join(f"{line}\n" for line in lines))
        size = sum(len(json.loads(line)["text"].encode()) for line in lines)
        print(f"{name}: {len(lines):,} documents, {size:,} bytes")
    return 0


def held_out(file) -> Iterator[str]:
    """The lines of a file that are test documents."""
    import pyarrow

    with file.open("rb") as packed, pyarrow.CompressedInputStream(packed, "zstd") as text:
        for line in text.read().decode().splitlines():
            document = json.loads(line)
            if document["split"] == TEST and TWICE not in document["id"]:
                yield line


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
