"""One table of every run: what each reading costs, by band of frequency, with the spread of seeds beside it.

bash run_tpu.sh experiments.hybrids.levels --workdir=runs/hybrids --output=runs/hybrids/report

Needs no more of a run than its scores.csv. Intervals are clustered by split group, and of one reading each: texts
differ far more than models do, so readings that overlap here may still differ surely. Pairs are the report's.
"""

import sys

import pandas as pd
from etils import epath

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer

BANDS = ("most_frequent_quarter", "second_quarter", "third_quarter", "rarest_quarter")
FAMILIES = ("all", "frequency_mass", "character_type", "number_kind", "bracket_role", "code", "word_class", "domain")
KEPT = ("run", "column", "kind", "family", "label", "tokens", "groups", "mean", "low", "high", "bits_per_byte")
SCORES = "scores.csv"


def main(argv: list[str]) -> int:
    """Writes levels.csv and levels.md."""
    parser = Parser("experiments.hybrids.levels", __doc__)
    parser.add_argument("--workdir", required=True, help="where the runs are")
    parser.add_argument("--output", required=True, help="a directory")
    flags, _ = parser.read(argv)

    output = epath.Path(flags.output)
    output.mkdir(parents=True, exist_ok=True)
    found = levels(epath.Path(flags.workdir))
    (output / "levels.csv").write_text(found.to_csv(index=False, float_format="%.5g"))
    (output / "levels.md").write_text(table(found))
    print(table(found))
    return 0


def levels(root: epath.Path) -> pd.DataFrame:
    """Every reading of every run, by label of the families above."""
    runs = sorted(path.parent for path in root.glob(f"*/{SCORES}"))
    whole = pd.concat([pd.read_csv(run / SCORES).assign(run=run.name) for run in runs])
    first = whole["run"] == whole["run"].iloc[0]
    shown = whole["family"].isin(FAMILIES) & ((whole["column"] != "unigram") | first)
    return whole[shown][list(KEPT)].reset_index(drop=True)


def table(found: pd.DataFrame) -> str:
    """Markdown: nats per token of all tokens and by band."""
    wanted = found[found["family"].isin(("all", "frequency_mass")) & ~found["column"].str.contains("after")]
    nats = wanted.pivot_table(index=["run", "column", "kind"], columns="label", values="mean", observed=True)
    bits = wanted[wanted["family"] == "all"].set_index(["run", "column", "kind"])["bits_per_byte"]
    head = f"| run | reading | kind | all | {' | '.join(band.replace('_', ' ') for band in BANDS)} | bits per byte |"
    lines = [
        f"| {run} | {column} | {kind} | "
        + " | ".join(f"{row[label]:.3f}" for label in ("all", *BANDS))
        + f" | {bits[run, column, kind]:.3f} |"
        for (run, column, kind), row in nats.sort_values("all").iterrows()
    ]
    return "\n".join([head, "|" + "---|" * 9, *lines, ""])


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
