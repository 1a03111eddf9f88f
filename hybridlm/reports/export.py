"""Scores as a long table for other programs: CSV or Parquet, one line per family, label and column."""

import dataclasses
import json
from typing import Any

import pandas as pd
from etils import epath

from hybridlm.config.errors import require
from hybridlm.reports.scores import Row, Scores


def frame(scores: Scores) -> pd.DataFrame:
    """All rows, each with what there is to know of its column; intervals as `entropy_low` and `entropy_high`."""
    rows = pd.DataFrame([_flat(row) for row in scores.rows])
    columns = pd.DataFrame([dataclasses.asdict(column) for column in scores.columns]).drop(columns="unscored")
    return rows.merge(columns.rename(columns={"name": "column"}), on="column", validate="many_to_one")


def _flat(row: Row) -> dict[str, Any]:
    fields = dataclasses.asdict(row)
    ends = fields.pop("intervals")
    return fields | {f"{name}_{end}": value for name, pair in ends.items() for end, value in zip(("low", "high"), pair)}


def export(scores: Scores, path: epath.PathLike) -> None:
    """Writes `.csv` or `.parquet`; Parquet carries the facts of the run in its metadata under "run"."""
    path = epath.Path(path)
    require(
        path.suffix in (".csv", ".parquet"),
        f"{path.name!r} must end in .csv or .parquet, so that the format of the table is known.",
    )
    table = frame(scores)
    if path.suffix == ".csv":
        path.write_text(table.to_csv(index=False))
        return
    table.attrs = {"run": json.loads(json.dumps(dict(scores.run)))}
    path.write_bytes(table.to_parquet(index=False))
