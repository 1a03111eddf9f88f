"""Holds the runs beside each other: families, systems and training changes, also in the domain that was left out.

bash run_tpu.sh experiments.hybrids.report --workdir=runs/hybrids --output=runs/hybrids/report

Every comparison is one call of `hybridlm compare`, with seeds and training progress of plain autoregression as
placebos; results.json and the plots hold what it does not say.
"""

import json
import sys

from experiments.hybrids.run import place
from experiments.hybrids.systems import LEARNED, PLAIN, SEARCHED
from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer

SYSTEMS = (*PLAIN, *LEARNED, *SEARCHED)
SHOWN = "frequency_mass,character_type,number_kind,bracket_role,punctuation,code,word_class,word_band,copy,domain"
MARGIN = 0.02
"""Nats per token that would not matter: declared before any run was looked at."""


def comparisons(root: str) -> dict[str, list[str]]:
    """Arguments of `hybridlm compare`, by the name of the comparison."""

    def at(run: str, reading: str, part: str = "") -> str:
        return f"{root}/{place(run)}{part}/tokens.parquet@{reading}"

    ar, shared = at("ar", "ar"), at("shared", "ar", "/test")
    seeds = ",".join(f"{ar}:{at(f'ar@{seed}', 'ar')}" for seed in (1, 2))
    shared_seeds = ",".join(f"{shared}:{at(f'shared@{seed}', 'ar')}" for seed in (1, 2))
    trained = f"--placebo={at('ar', 'ar', '/earlier')}:{ar}"
    blocks = [at(run, "chain") for run in ("bd4", "bd8", "bd16", "shared")]
    left_out = at("shared", "ar", "/left_out")
    return {
        "families": [
            *(ar, at("prefix", "ar"), at("gpt_bert", "ar"), at("shared", "ar"), *blocks),
            *(f"--seeds={seeds}", trained),
        ],
        "systems": [shared, *(at("shared", name, "/test") for name in ("chain", *SYSTEMS)), f"--seeds={shared_seeds}"],
        "training": [
            *(ar, at("ar:up_weighted", "ar"), at("ar:curriculum", "ar"), at("ar:balanced", "ar")),
            *(at("shared", "ar"), at("shared:balanced", "ar"), f"--seeds={seeds}", trained),
        ],
        "left_out": [
            *(at("ar", "ar", "/left_out"), left_out),
            *(at("shared", name, "/left_out") for name in ("chain", *SYSTEMS)),
        ],
    }


def main(argv: list[str]) -> int:
    """Makes every comparison, and writes results.json and the plots."""
    parser = Parser("experiments.hybrids.report", __doc__)
    parser.add_argument("--workdir", required=True, help="where the runs are")
    parser.add_argument("--output", required=True, help="a directory")
    flags, _ = parser.read(argv)

    from etils import epath

    from experiments.hybrids import judged, results
    from hybridlm.cli.compare import run as compare

    output = epath.Path(flags.output)
    output.mkdir(parents=True, exist_ok=True)
    root = epath.Path(flags.workdir)
    (output / "claims.md").write_text(judged.claims_table(root, MARGIN))
    found = results.results(root, SYSTEMS)
    (output / "results.json").write_text(json.dumps(found, indent=1))
    results.draw(found, output)
    for name, arguments in comparisons(flags.workdir).items():
        compare([*arguments, f"--output={output / name}", f"--families={SHOWN}", f"--margin={MARGIN}"])
    return 0


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
