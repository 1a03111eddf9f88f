"""From an evaluation to what a person reads: scores.json, tables, and report.html."""

import dataclasses
import datetime
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from etils import epath

import hybridlm
from hybridlm.categories.tables import describe
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import to_dict
from hybridlm.data.rows import Rows
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.models import size
from hybridlm.reports import curves, export, html, terminal
from hybridlm.reports.sample import Sample
from hybridlm.reports.scores import Column, Row, Scores, of_families, save
from hybridlm.statistics.intervals import means
from hybridlm.training import columns as readings
from hybridlm.training import environment, token_table
from hybridlm.training.evaluation import SUMMED, Evaluation, Totals
from hybridlm.training.pictures import masks
from hybridlm.training.session import Session
from hybridlm.training.state import TrainState
from hybridlm.training.task import Task

SCORES = "scores.json"
SAMPLES, SAMPLE_TOKENS = 4, 160
SAMPLED = 16
"""Batches among whose documents the samples are looked for."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a report says of model and text beside the numbers: `rows` as they were prepared, and names of documents by
    number, where they are known."""

    experiment: Experiment
    task: Task
    tokenizer: Tokenizer
    split: str
    step: int
    fingerprints: Mapping[str, str]
    parameters: int
    rows: Rows
    names: Sequence[str] = ()


def headline(found: Evaluation) -> dict[str, float]:
    """The mean of every column, for the log."""
    return {f"validation/loss/{c.part.name.replace(' ', '_')}": _mean(t) for c, t in zip(found.columns, found.totals)}


def _mean(totals: Totals) -> float:
    return float(totals.nats_NC[:, 0].sum() / max(totals.tokens_NC[:, 0].sum(), 1))


def write(facts: Facts, found: Evaluation, directory: epath.Path, *, metrics: epath.Path | None) -> None:
    """Writes every form of the report to the directory and prints the table, on the first process."""
    if not environment.is_primary():
        return
    scores = of(facts, found)
    export.export(scores, directory / "scores.csv")
    token_table.write(
        directory / "tokens.parquet",
        facts.task,
        found,
        facts.rows,
        facts.tokenizer.token_bytes,
        names=facts.names,
        tokenizer=facts.tokenizer.sha256,
        checkpoint=facts.fingerprints.get("weights", f"{facts.experiment.name}, step {facts.step}"),
        run={"name": facts.experiment.name, "step": facts.step, "split": facts.split},
    )
    shown = of_families(scores, facts.experiment.evaluation.families)
    html.write(
        shown,
        curves.read(metrics) if metrics and metrics.exists() else None,
        directory / "report.html",
        masks=masks(facts.experiment, facts.task, facts.rows.read([0])),
        samples=_samples(facts, shown.columns, found),
    )
    # last: its presence says that all is there
    save(scores, directory / SCORES)
    terminal.show(shown)
    print(f"\nreport: {directory / 'report.html'}")


def of(facts: Facts, found: Evaluation) -> Scores:
    """The evaluation as a score record, with intervals clustered by split group."""
    return Scores(
        columns=tuple(_column(c, t) for c, t in zip(found.columns, found.totals, strict=True)),
        rows=tuple(
            row for c, t in zip(found.columns, found.totals, strict=True) for row in _rows(facts, found.labels, c, t)
        ),
        run=_run(facts, found),
        families=describe(facts.task.tables)["families"],
    )


def _column(column: readings.Column, totals: Totals) -> Column:
    nats = totals.nats_NC[:, 0].sum()
    return Column(
        name=column.part.name,
        kind=column.part.kind.label,
        sees=column.part.sees,
        targets=column.targets,
        samples=max(column.samples, 1),
        bits_per_byte=float(nats / math.log(2) / totals.bytes) if totals.bytes else None,
        is_baseline=column.reading == readings.UNIGRAM,
    )


def _rows(facts: Facts, labels, column: readings.Column, totals: Totals):
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
                **_details(totals, c, int(tokens_C[c])),
            )


def _details(totals: Totals, label: int, tokens: int) -> dict[str, float]:
    """Means of what else a detailed column says of the tokens of a label."""
    if not len(totals.details_KC):
        return {}
    means_K = (totals.details_KC[:, label] / tokens).tolist()
    gate = totals.gate_C[label]
    return dict(zip(SUMMED, means_K, strict=True)) | ({} if math.isnan(gate) else {"gate": float(gate / tokens)})


def _number(end: float, groups: int) -> float | None:
    """The end of an interval; a single group says nothing of how groups differ."""
    return float(end) if math.isfinite(end) and groups > 1 else None


def _sampling_error(totals: Totals, tokens_C: np.ndarray) -> np.ndarray:
    """Standard error of the mean over Monte-Carlo samples, per label, in nats per token."""
    means_KC = totals.samples_KC / np.maximum(tokens_C, 1)
    return means_KC.std(0, ddof=1) / math.sqrt(len(means_KC))


def _run(facts: Facts, found: Evaluation) -> dict[str, Any]:
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
        "weights": facts.fingerprints.get("weights", "")[:16],
        "values": fingerprint(found),
        "request": request(facts),
        "labels": describe(facts.task.tables)["fingerprint"],
        "hybridlm": hybridlm.__version__,
        "machine": {name: machine[name] for name in ("jax", "platform", "devices") if name in machine},
        "date": datetime.date.today().isoformat(),
    }


def request(facts: Facts) -> str:
    """A hash of all that decides the values: model, text, and how one reads the other."""
    asked = [to_dict(facts.experiment), dict(facts.fingerprints), facts.split, facts.step, hybridlm.__version__]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def is_written(facts: Facts, directory: epath.Path) -> bool:
    """Does the directory hold a whole report of just this?"""
    if not (directory / SCORES).exists():
        return False
    return json.loads((directory / SCORES).read_text())["run"].get("request") == request(facts)


def fingerprint(found: Evaluation) -> str:
    """A hash of the value of every token under every column; two runs that read the same agree in it."""
    total = hashlib.sha256()
    for batch in found.tokens:
        for column in found.columns:
            total.update(np.ascontiguousarray(batch[column.part.name]).tobytes())
    return total.hexdigest()[:16]


def _samples(facts: Facts, columns: Sequence[Column], read: Evaluation) -> list[Sample]:
    """The beginnings of some documents from different groups, with what every token cost under each column."""
    columns, found = [column.name for column in columns], []
    kept = ["document", "positions", "tokens", *columns]
    tokens = pd.concat([pd.DataFrame({name: batch[name] for name in kept}) for batch in read.tokens[:SAMPLED]])
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
        rows=session.text,
    )
