"""Reads the token scores that the claims of the articles are about, and holds each claim against them."""

from collections.abc import Iterable

import numpy as np
from etils import epath

from experiments.hybrids import judging
from experiments.hybrids.claims import AR, CLAIMS, COMBINED, NOTHING, SEEDS, SHARED, TRAINING, Claim
from experiments.hybrids.judging import Judge
from hybridlm.config.errors import require
from hybridlm.reports import token_reader
from hybridlm.reports.tokens import Tokens

LEFT_OUT = Claim(
    "one shared network loses more in a domain left out of training (biomedical) than inside",
    2,
    "shared/left_out@ar",
    "ar/left_out@ar",
    "all",
    sign=-1,
    claimed="30 % more errors",
)


def claims_table(root: epath.Path, margin: float) -> str:
    """Markdown: every claim with its interval, its placebos and the verdict; and those whose runs are not scored."""
    there = [claim for claim in (*CLAIMS, LEFT_OUT) if all(file.exists() for file in files_of(root, claim.readings))]
    inside = [claim for claim in there if claim is not LEFT_OUT]
    judge = judge_of(root, wanted(inside), margin)
    found = {claim: judge.judge(claim) for claim in inside}
    if LEFT_OUT in there:
        outside = judge_of(root, LEFT_OUT.readings, margin, seed=1)  # another text, so its draws are its own
        found[LEFT_OUT] = judging.left_out(judge, outside, margin)
    missing = [f"- {claim.says}" for claim in (*CLAIMS, LEFT_OUT) if claim not in found]
    return "\n".join(
        [judging.table(found), *(["", "Not judged, as not everything is scored:", "", *missing] if missing else [])]
    )


def wanted(of: Iterable[Claim]) -> tuple[str, ...]:
    """All readings that claims and their placebos look at."""
    named = [name for claim in of for name in claim.readings]
    return tuple(
        dict.fromkeys([AR, SHARED, *named, *TRAINING.values(), *(one for all in SEEDS.values() for one in all)])
    )


def files_of(root: epath.Path, readings: Iterable[str]) -> list[epath.Path]:
    """The token files that readings are in, each once."""
    return list(dict.fromkeys(root / _run(reading) / "tokens.parquet" for reading in readings if reading != NOTHING))


def judge_of(root: epath.Path, readings: Iterable[str], margin: float, seed: int = 0) -> Judge:
    """A judge over these readings; the labels are those of the first run. Judges of one seed draw alike."""
    readings = [reading for reading in readings if reading != NOTHING]
    first, *others = files_of(root, readings)
    files = {first: token_reader.read(first)} | {path: token_reader.read(path, families=()) for path in others}
    for other in files.values():
        _check_same(files[first], other)
    score_R = {reading: score(files[files_of(root, [reading])[0]], reading) for reading in readings}
    return Judge(files[first], {NOTHING: np.zeros(len(files[first])), **score_R}, margin, seed)


def _run(reading: str) -> str:
    run, _, _ = reading.partition("@")
    return COMBINED if run == "share" else run


def score(tokens: Tokens, reading: str) -> np.ndarray:
    """Nats of every token; of a share, the share with the sign turned, since a gap is what is saved."""
    run, _, name = reading.partition("@")
    if run == "share":
        return -tokens.columns[f"gate/{name}"]
    nats = [tokens.columns[f"score/{one}"].astype(np.float64) for one in name.split("+")]
    return np.log(len(nats)) - np.logaddexp.reduce([-one for one in nats])


def _check_same(first: Tokens, other: Tokens) -> None:
    same = len(first) == len(other) and np.array_equal(first.byte_start_T, other.byte_start_T)
    require(same, f"{other.path} scores other tokens than {first.path}; score all runs on the same text.")
