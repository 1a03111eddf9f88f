"""From an evaluation to what a person reads: scores.json, tables, and report.html."""

import dataclasses
import datetime
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from etils import epath

import hybridlm
from hybridlm.categories import registry
from hybridlm.categories.tables import describe
from hybridlm.config import own_code, trained
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import to_dict
from hybridlm.data.rows import Rows
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.evaluation import joined, score_rows, token_table
from hybridlm.evaluation.pictures import masks
from hybridlm.evaluation.run import Evaluation
from hybridlm.evaluation.task import Task
from hybridlm.reports import closing, curves, export, html, terminal
from hybridlm.reports.progress import stages
from hybridlm.reports.sample import Sample
from hybridlm.reports.scores import Column, Scores, load, of_families, save
from hybridlm.sharding import distributed
from hybridlm.storage import environment

SCORES, CSV, TOKENS, PAGE = "scores.json", "scores.csv", "tokens.parquet", "report.html"
SAMPLES, SAMPLE_TOKENS = 4, 160
SAMPLED = 16
"""Batches among whose documents the samples are looked for."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a report says of model and text beside the numbers; `rows` are those that were prepared."""

    experiment: Experiment
    task: Task
    tokenizer: Tokenizer
    split: str
    step: int
    fingerprints: Mapping[str, str]
    parameters: int
    rows: Rows


def write(
    facts: Facts,
    found: Evaluation,
    directory: epath.Path,
    *,
    config: EvaluationConfig,
    metrics: epath.Path | None,
    is_last: bool = True,
) -> None:
    """Writes every form of the report to the directory and prints the table, on the first process.

    `config` has every number of its combinations, also those that were fitted. `is_last`: no other report follows, and
    the command to type next is printed.
    """
    if not distributed.is_primary():
        return
    combined, scores = joined.of(config, facts.task, found), of(facts, found)
    shown = of_families(scores, _shown(facts.experiment.evaluation))
    files = {
        CSV: functools.partial(export.export, scores),
        TOKENS: functools.partial(_write_tokens, facts, found),
        PAGE: functools.partial(_write_page, facts, found, shown, metrics),
        **({joined.FILE: functools.partial(joined.save, combined)} if combined else {}),
        # last: its presence says that all is there
        SCORES: functools.partial(save, scores),
    }
    for name in stages("writing", files):
        files[name](directory / name)
    terminal.show(shown)
    for line in (*_left_out(scores, shown), *joined.lines(combined)):
        print(line)
    print()
    _close(scores, directory, is_last)


def close(directory: epath.Path, is_last: bool) -> None:
    """Prints, on the first process, the last lines of the report that is there."""
    if distributed.is_primary():
        _close(load(directory / SCORES), directory, is_last)


def _close(scores: Scores, directory: epath.Path, is_last: bool) -> None:
    files = [name for name in (CSV, TOKENS, joined.FILE, SCORES) if (directory / name).exists()]
    print(*closing.lines(scores, directory, PAGE, files), sep="\n")
    if is_last:
        print(closing.next_of(scores, directory))


def _write_tokens(facts: Facts, found: Evaluation, path: epath.Path) -> None:
    token_table.write(
        path,
        facts.task,
        found,
        facts.rows,
        facts.tokenizer.token_bytes,
        tokenizer=facts.tokenizer.sha256,
        checkpoint=facts.fingerprints.get("weights", f"{facts.experiment.name}, step {facts.step}"),
        run={"name": facts.experiment.name, "step": facts.step, "split": facts.split},
        shown=_shown(facts.experiment.evaluation),
    )


def _shown(config: EvaluationConfig) -> tuple[str, ...]:
    """The families that are looked at: those of the config, and one's own; () is all."""
    return config.families and tuple(dict.fromkeys((*config.families, *registry.own())))


def _left_out(scores: Scores, shown: Scores) -> Iterator[str]:
    """Where families are that no table shows."""
    if more := [family for family in scores.families if family not in shown.families]:
        yield f"not shown: {', '.join(more)}. scores.csv has them; --config.evaluation.families='()' shows all."


def _write_page(facts: Facts, found: Evaluation, shown: Scores, metrics: epath.Path | None, path: epath.Path) -> None:
    html.write(
        shown,
        curves.read(metrics) if metrics and metrics.exists() else None,
        path,
        masks=masks(facts.experiment, facts.task, facts.rows.read([0])),
        samples=_samples(facts, shown.columns, found),
    )


def of(facts: Facts, found: Evaluation) -> Scores:
    """The evaluation as a score record, with intervals clustered by split group."""
    config, pairs = facts.experiment.evaluation, list(zip(found.columns, found.totals, strict=True))
    told = stages("confidence intervals", [column.part.name for column in found.columns])
    return Scores(
        columns=tuple(score_rows.column(*pair, note=_note(facts.experiment, pair[0].reading)) for pair in pairs),
        rows=tuple(row for pair, _ in zip(pairs, told) for row in score_rows.rows(config, found.labels, *pair)),
        run=_run(facts, found),
        families=describe(facts.task.tables)["families"],
    )


def _note(experiment: Experiment, name: str) -> str:
    """What narrows a reading: a mask of the user's own, or that nobody trained it; the unigram is no reading."""
    reading = experiment.evaluation.readings.get(name)
    if reading is None:
        return ""
    notes = {
        "of that, what the model's own mask lets through": experiment.mask is not None and not reading.network,
        "not trained for: no objective of the run reads this way": not trained.is_for(reading, experiment.objectives),
    }
    return "; ".join(note for note, is_so in notes.items() if is_so)


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
        "residual": {
            column.part.name: totals.residual
            for column, totals in zip(found.columns, found.totals, strict=True)
            if not column.within
        },
        "request": request(facts),
        "labels": describe(facts.task.tables)["fingerprint"],
        "hybridlm": hybridlm.__version__,
        "machine": {name: machine[name] for name in ("jax", "platform", "devices") if name in machine},
        "date": datetime.date.today().isoformat(),
    }


def request(facts: Facts) -> str:
    """A hash of all that decides the values: model, text, and how one reads the other."""
    asked = [to_dict(facts.experiment), dict(facts.fingerprints), facts.split, facts.step, hybridlm.__version__]
    asked += [code] if (code := _own_code(facts.experiment)) else []
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _own_code(experiment: Experiment) -> dict[str, str | None]:
    """Of gates and families of labels that a user wrote: an edited one decides otherwise."""
    gates = (one.gate.partition(":")[0] for one in experiment.evaluation.combinations.values() if ":" in one.gate)
    return own_code.digests((*gates, *experiment.data.label_modules))


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
    """The first pieces of some documents that lie in the rows read first, with what every token cost under each column.

    A piece begins where its row does, which may be within the document.
    """
    columns, found = [column.name for column in columns], []
    kept = ["document", "positions", "tokens", *columns]
    first = itertools.islice(read.tokens, SAMPLED)
    tokens = pd.concat([pd.DataFrame({name: batch[name] for name in kept}) for batch in first])
    names = facts.rows.called()
    for document, pieces in tokens.groupby("document", sort=False):
        # positions count up within a piece, and fall where the next one begins
        piece = pieces[(pieces["positions"].diff().fillna(1) <= 0).cumsum() == 0].head(SAMPLE_TOKENS)
        if len(piece) >= 60 and len(found) < SAMPLES:
            texts = [facts.tokenizer.token_bytes[n].decode(errors="replace") or "⏹" for n in piece["tokens"]]
            nll = {name: [None if math.isnan(v) else float(v) for v in piece[name]] for name in columns}
            found.append(Sample(title=f"document {names.document(int(document))}", tokens=texts, nll=nll))
    return found
