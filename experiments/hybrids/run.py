"""Trains the runs by name, one after the other; a run that is done is not done again, one that was stopped goes on.

bash run_tpu.sh experiments.hybrids.run --corpus=data/corpus --workdir=runs/hybrids [--runs=ar,bd4] [--part=1/4]

`--part` takes every n-th run, so that machines or cards share the work. experiments/hybrids/README.md has the results.
"""

import sys

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer
from hybridlm.config import command_line
from hybridlm.config.errors import nearest, require

DONE = "scores.json"
"""The last file of a run."""


def main(argv: list[str]) -> int:
    """Trains each run in a directory of its own below the workdir."""
    parser = Parser("experiments.hybrids.run", __doc__)
    parser.add_argument("--corpus", required=True, help="what experiments.standard_corpus.build wrote")
    parser.add_argument("--workdir", required=True, help="one directory per run is made below it")
    parser.add_argument("--runs", default="", help="names, joined by commas; all of them if left out")
    parser.add_argument("--part", default="1/1", help="P/N takes the P-th of N equal parts of the runs")
    flags, overrides = parser.read(argv)

    from etils import epath

    from experiments.hybrids import runs
    from experiments.hybrids.shape import shape
    from hybridlm.training.run import train

    workdir = epath.Path(flags.workdir)
    known = runs.names()
    wanted = tuple(flags.runs.split(",")) if flags.runs else known
    for name in wanted:
        require(name in known, f"--runs names {name!r}, which is no run{nearest(name, known)}")
    part, parts = map(int, flags.part.split("/"))
    base = shape(flags.corpus, str(workdir / "data"))
    for name in wanted[part - 1 :: parts]:
        if (workdir / place(name) / DONE).exists():
            print(f"{name}: done before")
        else:
            train(command_line.changed(runs.experiment(base, name), overrides), workdir / place(name))
    return 0


def place(name: str) -> str:
    """The directory of a run."""
    return name.replace(":", "_").replace("@", "_seed")


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
