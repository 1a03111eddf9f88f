"""What `hybridlm compare` does not say: bounds beside autoregression, the oracle, gaps along ranks, words replaced."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from hybridlm.reports import token_reader
from hybridlm.reports.tokens import Tokens

DRAWS = 2000
BAND, WORD_BAND = "frequency_mass", "word_band"
RANKS = np.geomspace(1, 16_384, 15).astype(int)
"""Edges of the bins of ids by their rank of frequency."""


def results(root: epath.Path, systems: Sequence[str]) -> dict[str, Any]:
    """All of it, as JSON holds it."""
    runs = sorted(path.parent.name for path in root.glob("*/scores.json"))
    ar = token_reader.read(root / "ar" / "tokens.parquet", families=[BAND])
    shared = token_reader.read(root / "shared" / "test" / "tokens.parquet", families=[BAND])
    return {
        "runs": {run: of_run(root / run) for run in runs},
        "ratios": {run: ratios(ar, token_reader.read(root / run / "tokens.parquet", families=[])) for run in runs},
        "oracle": oracle(shared, ar="ar", other="chain"),
        "ranks": ranks(shared, "ar", ("chain", *systems)),
        "replaced": replaced(shared, ("ar", "chain", *systems)),
        "adjustment": json.loads((root / "shared" / "systems.json").read_text())["adjustment"],
    }


def of_run(run: epath.Path) -> dict[str, Any]:
    """Columns with their kind and bits per byte, and how fast it was trained."""
    scores = json.loads((run / "scores.json").read_text())
    wanted = ("name", "kind", "sees", "bits_per_byte", "samples", "targets")
    means = {row["column"]: row["mean"] for row in scores["rows"] if row["family"] == "all"}
    columns = [
        {name: column[name] for name in wanted} | {"nats": means[column["name"]]} for column in scores["columns"]
    ]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    speed = [line["perf/tokens_per_s"] for line in lines if "perf/tokens_per_s" in line]
    return {"columns": columns, "tokens_per_second": float(np.median(speed)) if speed else None}


def ratios(ar: Tokens, other: Tokens) -> dict[str, Any]:
    """Nats under each reading of another model over nats under autoregression, on the tokens that both score."""
    return {
        name: ratio(ar, ar.columns["score/ar"], other.columns[f"score/{name}"])
        for name in other.header.readings
        if other.header.readings[name].kind in ("exact", "share") and "unigram" not in name and len(ar) == len(other)
    }


def ratio(tokens: Tokens, nats_T: np.ndarray, other_T: np.ndarray) -> dict[str, float]:
    """other / nats with a 95 % interval from draws of split groups."""
    is_both_T = np.isfinite(nats_T) & np.isfinite(other_T)
    group_T = tokens.group_D[tokens.document_T]
    sums_GX = np.stack(
        [np.bincount(group_T[is_both_T], x_T[is_both_T], len(tokens.groups)) for x_T in (nats_T, other_T)], axis=1
    )
    draws_RG = np.random.default_rng(0).multinomial(len(sums_GX), np.full(len(sums_GX), 1 / len(sums_GX)), DRAWS)
    drawn_RX = draws_RG @ sums_GX
    low, high = np.percentile(drawn_RX[:, 1] / drawn_RX[:, 0], (2.5, 97.5))
    nats, others = sums_GX.sum(0)
    return {"ratio": others / nats, "low": low, "high": high, "tokens": int(is_both_T.sum())}


def _bands(tokens: Tokens) -> tuple[np.ndarray, list[str]]:
    return tokens.labels[f"label/{BAND}"], list(tokens.header.families[BAND].labels)


def oracle(tokens: Tokens, ar: str, other: str) -> dict[str, Any]:
    """Nats that no switch between two readings can go below, by band. It reads the token: not a model."""
    label_T, labels = _bands(tokens)
    first_T, second_T = (tokens.columns[f"score/{name}"] for name in (ar, other))
    found = {"all": np.full(len(label_T), True)} | {label: label_T == n for n, label in enumerate(labels)}
    return {
        label: {
            "tokens": int(here_T.sum()),
            ar: float(first_T[here_T].mean()),
            other: float(second_T[here_T].mean()),
            "floor": float(np.minimum(first_T, second_T)[here_T].mean()),
            "first_is_better": float((first_T <= second_T)[here_T].mean()),
        }
        for label, here_T in found.items()
        if here_T.any()
    }


def ranks(tokens: Tokens, base: str, names: Sequence[str]) -> dict[str, Any]:
    """Mean gap (base minus reading, nats) of tokens by the rank of frequency of their id; bins that hold any."""
    found, bin_T = np.unique(np.digitize(tokens.columns["frequency_rank"], RANKS) - 1, return_inverse=True)
    count_B = np.bincount(bin_T)

    def gaps(name):
        gap_T = tokens.columns[f"score/{base}"] - tokens.columns[f"score/{name}"]
        return (np.bincount(bin_T, gap_T) / count_B).tolist()

    return {"from": RANKS[found].tolist(), "tokens": count_B.tolist(), "gaps": {name: gaps(name) for name in names}}


def replaced(tokens: Tokens, names: Sequence[str]) -> dict[str, Any]:
    """Of tokens of the rarest quarter, the share for which the likeliest is one of the most frequent quarter."""
    label_T, labels = _bands(tokens)
    is_rare_T = label_T == labels.index("rarest_quarter")
    common = labels.index("most_frequent_quarter")

    def counts(name):
        likeliest_T = tokens.labels[f"likeliest/{name}/{BAND}"][is_rare_T]
        right = tokens.columns[f"correct/{name}"][is_rare_T]
        return {
            "rare": int(is_rare_T.sum()),
            "replaced_by_common": float((likeliest_T == common).mean()),
            "right": float(right.mean()),
        }

    return {name: counts(name) for name in names}


def draw(found: Mapping[str, Any], output: epath.Path) -> None:
    """The gap along ranks, and what logit adjustment gives and takes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for name, gaps in found["ranks"]["gaps"].items():
        left.plot(found["ranks"]["from"], gaps, label=name.replace("_", " "))
    left.axhline(0, color="black", linewidth=0.8)
    left.set(xscale="log", xlabel="rank of the token's id by frequency", ylabel="nats saved against autoregression")
    figure.legend(loc="outside lower left", fontsize=8, ncols=6)
    curve = found["adjustment"]
    right.plot(curve["common_P"], curve["rare_P"], "o-", color="#3569a8")
    for tau, x, y in zip(curve["value_P"], curve["common_P"], curve["rare_P"], strict=True):
        right.annotate(f"{tau:g}", (x, y), fontsize=7, xytext=(4, 2), textcoords="offset points")
    right.set(xlabel="nats per token, all but the rarest quarter", ylabel="nats per token, rarest quarter")
    right.set_title("logit adjustment of autoregression, by tau", fontsize=9)
    figure.savefig(str(output / "ranks.png"), dpi=150)
    pyplot.close(figure)
