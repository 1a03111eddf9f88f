"""Trains every mask of `config.py` alike, and holds the results side by side, token by token.

bash run_tpu.sh experiments.custom_mask.run --workdir=runs/custom_mask
"""

import re
import sys

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer
from hybridlm.config import command_line
from hybridlm.config.storage import override

MAIN = "causal"


def main(argv: list[str]) -> int:
    """Trains, compares and writes comparison.csv and comparison.png."""
    parser = Parser("experiments.custom_mask.run", __doc__)
    parser.add_argument("--config", default="configs/quickstart.py", help="what all runs share")
    parser.add_argument("--workdir", required=True, help="one directory per mask is made below it")
    flags, overrides = parser.read(argv)
    base = command_line.load(flags.config, {})

    from etils import epath

    from experiments.custom_mask.compare import compare
    from experiments.custom_mask.config import MASKS, experiment
    from hybridlm.training.run import train

    workdir = epath.Path(flags.workdir)
    base = override(base, {"data.prepared": str(workdir / "data")})
    places = {name: workdir / re.sub(r"\W+", "_", name) for name in MASKS}
    for name, place in places.items():
        train(command_line.changed(experiment(base, name), overrides), place)
    compare({name: place / "tokens.parquet" for name, place in places.items()}, MAIN, MASKS, workdir)
    return 0


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
