"""Draws what a report says of the articles' categories: nats, and how often the token was the likeliest.

bash run_tpu.sh experiments.smollm2.picture --scores=runs/smollm2/scores.json --output=categories.png
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer

FAMILIES = {
    "word_band": "words by frequency",
    "word_class": "words by class",
    "number_kind": "numbers",
    "bracket_role": "brackets",
    "character_type": "characters",
    "code": "code",
    "copy": "tokens copied before it",
}
"""Family -> its title, one group of bars each, in this order."""
END_OF_TEXT = ("special", "no_text")
"""Labels of EOS alone, which costs ten nats here and would squeeze the rest."""
FEWEST_GROUPS = 30
"""Labels in fewer split groups are left out: their intervals are too narrow."""

Row = Mapping[str, Any]


def main(argv: list[str]) -> int:
    """Writes the picture."""
    parser = Parser("experiments.smollm2.picture", __doc__)
    parser.add_argument("--scores", required=True, help="scores.json of `hybridlm evaluate`")
    parser.add_argument("--output", required=True, help="a .png or .pdf")
    flags, _ = parser.read(argv)
    with open(flags.scores) as file:
        report = json.load(file)
    draw(chosen(report["rows"]), flags.output)
    return 0


def chosen(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of every family drawn, in the order of its labels."""
    found = {title: [row for row in rows if row["family"] == name] for name, title in FAMILIES.items()}
    kept = {title: [row for row in those if is_drawn(row)] for title, those in found.items()}
    return {title: those for title, those in kept.items() if those}


def is_drawn(row: Row) -> bool:
    """Has it groups enough, and is it about text?"""
    return row["groups"] >= FEWEST_GROUPS and row["label"] not in END_OF_TEXT


def draw(families: Mapping[str, Sequence[Row]], path: str) -> None:
    """One row of points per label: nats with their interval to the left, accuracy to the right."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    count = sum(len(rows) + 2 for rows in families.values())
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 1 + 0.17 * count), sharey=True, layout="constrained")
    place, ticks = 0, []
    for title, rows in families.items():
        ticks.append((place, title, "bold"))
        for offset, row in enumerate(rows, 1):
            spread = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
            left.errorbar(row["mean"], place + offset, xerr=spread, fmt="o", color="#3569a8", markersize=3)
            right.barh(place + offset, row["accuracy"], color="#9db9d9")
            ticks.append((place + offset, row["label"].replace("_", " "), "normal"))
        place += len(rows) + 2
    left.set_yticks([at for at, _, _ in ticks], [text for _, text, _ in ticks], fontsize=7)
    for label, (_, _, weight) in zip(left.get_yticklabels(), ticks, strict=True):
        label.set_fontweight(weight)
    left.set_ylim(place, -1)
    left.set_xlabel("nats per token, with 95 % interval by split group")
    right.set_xlabel("share of tokens that were the likeliest")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
