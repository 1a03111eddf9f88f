"""Writes the documents of the probes.

bash run_tpu.sh experiments.probes.write --output=runs/probes/probes.jsonl
"""

import sys

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer


def main(argv: list[str]) -> int:
    """Writes them, and says how many."""
    from experiments.probes.probes import DISTANCES, PROBES, documents

    parser = Parser("experiments.probes.write", __doc__)
    parser.add_argument("--output", required=True, help="the .jsonl file")
    parser.add_argument("--probes", default=",".join(PROBES), help="some of them, separated by commas")
    parser.add_argument("--distances", default=",".join(map(str, DISTANCES)), help="in words, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="of random words, names and filler")
    flags = parser.parse_args(argv)
    distances = tuple(int(part) for part in flags.distances.split(","))
    made = list(documents(flags.probes.split(","), distances, seed=flags.seed))

    from etils import epath

    from experiments.probes.document import save

    epath.Path(flags.output).parent.mkdir(parents=True, exist_ok=True)
    save(made, flags.output)
    print(f"{flags.output}: {len(made):,} documents, {sum(len(document.text.split()) for document in made):,} words")
    return 0


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
