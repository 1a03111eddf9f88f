"""One table of every run: what each reading costs, by band of frequency; and one of the systems over a shared network.

bash run_tpu.sh experiments.hybrids.levels --workdir=runs/hybrids --output=runs/hybrids/report

Needs no more of a run than its scores.csv. Intervals are clustered by split group, and of one reading each: texts
differ far more than models do, so readings that overlap here may still differ surely. Pairs are the report's.
"""

import sys

import pandas as pd
from etils import epath

from experiments.hybrids.score import TEST
from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer

BANDS = ("most_frequent_quarter", "second_quarter", "third_quarter", "rarest_quarter")
FAMILIES = ("all", "frequency_mass", "character_type", "number_kind", "bracket_role", "code", "word_class", "domain")
KEPT = ("run", "column", "kind", "family", "label", "tokens", "groups", "mean", "low", "high", "bits_per_byte")
SCORES = "scores.csv"
TOLD = ("accuracy", "confidence", "share", "mass_excess")
"""What else is kept of systems, each with its interval."""


def main(argv: list[str]) -> int:
    """Writes levels.csv and levels.md, and systems.csv and systems.md of every run whose combinations were scored."""
    parser = Parser("experiments.hybrids.levels", __doc__)
    parser.add_argument("--workdir", required=True, help="where the runs are")
    parser.add_argument("--output", required=True, help="a directory")
    flags, _ = parser.read(argv)

    output = epath.Path(flags.output)
    output.mkdir(parents=True, exist_ok=True)
    root = epath.Path(flags.workdir)
    for name, read, shown in (("levels", levels, table), ("systems", systems, systems_table)):
        found = read(root)
        if len(found):
            (output / f"{name}.csv").write_text(found.to_csv(index=False, float_format="%.5g"))
            (output / f"{name}.md").write_text(shown(found))
            print(shown(found))
    return 0


def levels(root: epath.Path) -> pd.DataFrame:
    """Every reading of every run, by label of the families above."""
    whole = _whole(sorted(path.parent for path in root.glob(f"*/{SCORES}")))
    if whole.empty:
        return whole
    first = whole["run"] == whole["run"].iloc[0]
    shown = whole["family"].isin(FAMILIES) & ((whole["column"] != "unigram") | first)
    return whole[shown][list(KEPT)].reset_index(drop=True)


def systems(root: epath.Path) -> pd.DataFrame:
    """The experts and the combinations of every run on the test text."""
    whole = _whole(sorted(path.parent for path in root.glob(f"*/{TEST}/{SCORES}")))
    if whole.empty:
        return whole
    told = [part for name in TOLD for part in (name, f"{name}_low", f"{name}_high")]
    shown = whole["family"].isin(FAMILIES) & (whole["column"] != "unigram")
    return whole[shown][[*KEPT, *told]].reset_index(drop=True)


def _whole(runs: list[epath.Path]) -> pd.DataFrame:
    named = {run: run.parent.name if run.name == TEST else run.name for run in runs}
    return pd.concat([pd.read_csv(run / SCORES).assign(run=name) for run, name in named.items()] or [pd.DataFrame()])


def systems_table(found: pd.DataFrame) -> str:
    """Markdown: nats by band; and of the first and the last band the share of the first expert, and what confidence
    exceeds accuracy by."""
    bands = found[found["family"].isin(("all", "frequency_mass"))].set_index(["run", "column", "label"])
    ends = BANDS[0], BANDS[-1]
    heads = ["run", "system", "all", *(band.replace("_", " ") for band in BANDS)]
    heads += [f"{what}, {band.replace('_', ' ')}" for what in ("share of the first", "too sure by") for band in ends]

    def line(run: str, column: str) -> str:
        row = {label: bands.loc[(run, column, label)] for label in ("all", *BANDS)}
        shares = [f"{row[band]['share']:.3f}" if pd.notna(row[band]["share"]) else "-" for band in ends]
        sure = [f"{row[band]['confidence'] - row[band]['accuracy']:+.3f}" for band in ends]
        return " | ".join([run, column, *(f"{one['mean']:.3f}" for one in row.values()), *shares, *sure])

    order = bands.xs("all", level="label")["mean"].sort_values().index
    lines = [" | ".join(heads), "|".join(["---"] * len(heads)), *(line(*which) for which in order)]
    return "\n".join([*(f"| {one} |" for one in lines), ""])


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
