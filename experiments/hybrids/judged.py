"""Reads the token scores that the claims of the articles are about, and holds each claim against them."""

from collections.abc import Iterable

import numpy as np
from etils import epath

from experiments.hybrids import judging
from experiments.hybrids.claims import AR, CLAIMS, NOTHING, SEEDS, SHARED, TRAINING, Claim
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
    """Markdown: every claim with its interval, its placebos and the verdict."""
    judge = judge_of(root, wanted(CLAIMS), margin)
    found = {claim: judge.judge(claim) for claim in CLAIMS}
    outside = judge_of(root, ("shared/left_out@ar", "ar/left_out@ar"), margin)
    return judging.table(found | {LEFT_OUT: judging.left_out(judge, outside, margin)})


def wanted(of: Iterable[Claim]) -> tuple[str, ...]:
    """All readings that claims and their placebos look at."""
    named = [name for claim in of for name in claim.readings]
    return tuple(
        dict.fromkeys([AR, SHARED, *named, *TRAINING.values(), *(one for all in SEEDS.values() for one in all)])
    )


def judge_of(root: epath.Path, readings: Iterable[str], margin: float) -> Judge:
    """A judge over these readings; the labels are those of the first run."""
    files: dict[str, Tokens] = {}
    score_R = {}
    for reading in readings:
        if reading == NOTHING:
            continue
        kind, _, name = reading.partition("@")
        run = SHARED.partition("@")[0] if kind == "share" else kind
        if run not in files:
            families = None if not files else ()
            files[run] = token_reader.read(root / run / "tokens.parquet", families=families)
            _check_same(next(iter(files.values())), files[run])
        columns = files[run].columns
        score_R[reading] = -columns[f"gate/{name}"] if kind == "share" else columns[f"score/{name}"]
    first = next(iter(files.values()))
    return Judge(first, {NOTHING: np.zeros(len(first)), **score_R}, margin)


def _check_same(first: Tokens, other: Tokens) -> None:
    same = len(first) == len(other) and np.array_equal(first.byte_start_T, other.byte_start_T)
    require(same, f"{other.path} scores other tokens than {first.path}; score all runs on the same text.")
