"""Reads a table of token scores of the probes, from any engine, and says what each probe found.

bash run_tpu.sh experiments.probes.read --probes=runs/probes/probes.jsonl --tokens=runs/probes/tokens.parquet

Writes curves.csv and curves.png beside the table, and prints the first.
"""

import sys

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer


def main(argv: list[str]) -> int:
    """Reads, writes and prints."""
    parser = Parser("experiments.probes.read", __doc__)
    parser.add_argument("--probes", required=True, help="the file that experiments.probes.write made")
    parser.add_argument("--tokens", required=True, help="scores of its documents, as docs/token-scores.md describes")
    parser.add_argument("--reading", default="", help="one of the table's readings; the first by default")
    flags = parser.parse_args(argv)

    from etils import epath

    from experiments.probes.curves import curves
    from experiments.probes.document import load
    from experiments.probes.show import show
    from experiments.probes.tokens import scores

    found = curves(load(flags.probes), scores(flags.tokens, flags.reading))
    show(found, epath.Path(flags.tokens).parent)
    return 0


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
