"""From an evaluation to what a person reads: scores.json, tables, and report.html."""

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from etils import epath

import hybridlm
from hybridlm.categories.tables import describe
from hybridlm.config.experiment import Experiment
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.models import size
from hybridlm.reports import curves, export, html, terminal
from hybridlm.reports.sample import Sample
from hybridlm.reports.scores import Column, Row, Scores, of_families, save
from hybridlm.statistics.intervals import means
from hybridlm.training import environment
from hybridlm.training import evaluation as evaluations
from hybridlm.training.evaluation import Evaluation, Totals
from hybridlm.training.pictures import masks
from hybridlm.training.session import Session
from hybridlm.training.state import TrainState
from hybridlm.training.task import Task

SAMPLES, SAMPLE_TOKENS = 4, 160


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a report says of model and text beside the numbers; `row` is one row of the text, to draw masks on."""

    experiment: Experiment
    task: Task
    tokenizer: Tokenizer
    split: str
    step: int
    fingerprints: dict[str, str]
    parameters: int
    row: Mapping[str, np.ndarray]


def headline(found: Evaluation) -> dict[str, float]:
    """The mean of every column, for the log."""
    return {f"validation/loss/{c.part.name.replace(' ', '_')}": _mean(t) for c, t in zip(found.columns, found.totals)}


def _mean(totals: Totals) -> float:
    return float(totals.nats_NC[:, 0].sum() / max(totals.tokens_NC[:, 0].sum(), 1))


def write(facts: Facts, found: Evaluation, directory: epath.Path, *, metrics: epath.Path) -> None:
    """Writes every form of the report to the directory and prints the table, on the first process."""
    if not environment.is_primary():
        return
    scores = of(facts, found)
    save(scores, directory / "scores.json")
    export.export(scores, directory / "scores.csv")
    tokens = token_table(facts.task, found)
    (directory / "tokens.parquet").write_bytes(tokens.to_parquet(index=False))
    shown = of_families(scores, facts.experiment.evaluation.families)
    html.write(
        shown,
        curves.read(metrics) if metrics.exists() else None,
        directory / "report.html",
        masks=masks(facts.experiment, facts.task, facts.row),
        samples=_samples(facts, shown.columns, tokens),
    )
    terminal.show(shown)
    print(f"\nreport: {directory / 'report.html'}")


def token_table(task: Task, found: Evaluation) -> pd.DataFrame:
    """One row per scored token: where it stands, its label in every family, its value in nats under every column."""
    table = pd.concat([pd.DataFrame(batch) for batch in found.tokens], ignore_index=True)
    for family in task.tables.families:
        table[family.name] = pd.Categorical.from_codes(table[family.name], family.labels)
    return table


def of(facts: Facts, found: Evaluation) -> Scores:
    """The evaluation as a score record, with intervals clustered by split group."""
    return Scores(
        columns=tuple(_column(c, t) for c, t in zip(found.columns, found.totals, strict=True)),
        rows=tuple(
            row for c, t in zip(found.columns, found.totals, strict=True) for row in _rows(facts, found.labels, c, t)
        ),
        run=_run(facts),
        families=describe(facts.task.tables)["families"],
    )


def _column(column: evaluations.Column, totals: Totals) -> Column:
    nats = totals.nats_NC[:, 0].sum()
    return Column(
        name=column.part.name,
        kind=column.part.kind.label,
        sees=column.part.sees,
        targets=column.targets,
        samples=max(column.samples, 1),
        bits_per_byte=float(nats / math.log(2) / totals.bytes) if totals.bytes else None,
        is_baseline=column.reading == evaluations.UNIGRAM,
    )


def _rows(facts: Facts, labels, column: evaluations.Column, totals: Totals):
    tokens_C = totals.tokens_NC.sum(0)
    error_C = _sampling_error(totals, tokens_C) if column.samples else np.zeros(len(labels))
    config = facts.experiment.evaluation
    is_here_N = totals.tokens_NC[:, 0] > 0
    found = means(
        totals.nats_NC[is_here_N],
        totals.tokens_NC[is_here_N],
        seed=config.seed,
        draws=config.draws,
        monte_carlo_error_C=error_C,
    )
    for c, (family, label) in enumerate(labels):
        if tokens_C[c]:
            groups = int(found.clusters_C[c])
            yield Row(
                family=family,
                label=label,
                column=column.part.name,
                mean=float(found.estimate_C[c]),
                low=_number(found.low_C[c], groups),
                high=_number(found.high_C[c], groups),
                standard_error_mc=float(error_C[c]) if column.samples else None,
                tokens=int(tokens_C[c]),
                groups=groups,
            )


def _number(end: float, groups: int) -> float | None:
    """The end of an interval; a single group says nothing of how groups differ."""
    return float(end) if math.isfinite(end) and groups > 1 else None


def _sampling_error(totals: Totals, tokens_C: np.ndarray) -> np.ndarray:
    """Standard error of the mean over Monte-Carlo samples, per label, in nats per token."""
    means_KC = totals.samples_KC / np.maximum(tokens_C, 1)
    return means_KC.std(0, ddof=1) / math.sqrt(len(means_KC))


def _run(facts: Facts) -> dict[str, Any]:
    machine = environment.describe()
    return {
        "name": facts.experiment.name,
        "split": facts.split,
        "step": facts.step,
        "parameters": facts.parameters,
        "objectives": {name: objective.ratio for name, objective in facts.experiment.objectives.items()},
        "mask": "the objectives' own" if facts.experiment.mask is None else repr(facts.experiment.mask),
        "row length": facts.experiment.data.row_length,
        "seed": facts.experiment.seed,
        "tokenizer": facts.fingerprints["tokenizer"][:16],
        "data": facts.fingerprints.get("data", "")[:16],
        "labels": describe(facts.task.tables)["fingerprint"],
        "hybridlm": hybridlm.__version__,
        "machine": {name: machine[name] for name in ("jax", "platform", "devices") if name in machine},
        "date": datetime.date.today().isoformat(),
    }


def _samples(facts: Facts, columns: Sequence[Column], tokens: pd.DataFrame) -> list[Sample]:
    """The beginnings of some documents from different groups, with what every token cost under each column."""
    columns, found = [column.name for column in columns], []
    for document, pieces in tokens.groupby("document", sort=False):
        # positions count up within a piece, and fall where the next one begins
        piece = pieces[(pieces["positions"].diff().fillna(1) <= 0).cumsum() == 0].head(SAMPLE_TOKENS)
        if len(piece) >= 60 and len(found) < SAMPLES:
            texts = [facts.tokenizer.token_bytes[n].decode(errors="replace") or "⏹" for n in piece["tokens"]]
            nll = {name: [None if math.isnan(v) else float(v) for v in piece[name]] for name in columns}
            found.append(Sample(title=f"document {document}", tokens=texts, nll=nll))
    return found


def of_session(session: Session, state: TrainState) -> Facts:
    """The facts of a run that has just been trained."""
    return Facts(
        experiment=session.experiment,
        task=session.reader,
        tokenizer=session.vocabulary.tokenizer,
        split=session.experiment.evaluation.split,
        step=int(state.step),
        fingerprints=session.metadata["fingerprints"],
        parameters=size.count(state.params),
        row=session.held_out.read([0]),
    )
