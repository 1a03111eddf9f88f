"""Tables for other programs hold every row with the facts of its column."""

import pandas as pd
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports.export import export


@pytest.mark.parametrize(("name", "read"), [("scores.csv", pd.read_csv), ("scores.parquet", pd.read_parquet)])
def test_a_table_comes_back_with_every_row(scores, tmp_path, name, read):
    export(scores, tmp_path / name)
    table = read(tmp_path / name)
    assert len(table) == len(scores.rows)
    found = table.set_index(["family", "label", "column"]).loc[("bracket", "open", "masked")]
    assert (found["mean"], found["kind"], found["targets"], found["groups"]) == (5.5, "share", "all scored tokens", 12)


def test_intervals_are_columns(scores, tmp_path):
    export(scores, tmp_path / "scores.csv")
    table = pd.read_csv(tmp_path / "scores.csv").set_index(["family", "label", "column"])
    found = table.loc[("bracket", "open", "ar")]
    assert (found["entropy_low"], found["entropy"], found["entropy_high"]) == pytest.approx((2.45, 2.5, 2.55))
    assert found["mass_excess_high"] == pytest.approx(-0.05)
    assert pd.isna(table.loc[("bracket", "open", "masked"), "entropy_low"])


def test_parquet_carries_the_run(scores, tmp_path):
    export(scores, tmp_path / "scores.parquet")
    assert pd.read_parquet(tmp_path / "scores.parquet").attrs["run"] == scores.run


def test_an_unknown_format_is_refused(scores, tmp_path):
    with pytest.raises(ConfigError, match=r"'scores.xlsx' must end in .csv or .parquet"):
        export(scores, tmp_path / "scores.xlsx")
