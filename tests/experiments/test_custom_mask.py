"""The custom-mask experiment: what its masks show, that runs differ in nothing else, that comparisons are paired."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
from etils import epath
from rich.console import Console

from configs.quickstart import get_config
from experiments.custom_mask import compare
from experiments.custom_mask.config import MASKS, experiment
from hybridlm import masks
from hybridlm.facts.tokens import one_document


def picture(mask):
    return np.asarray(masks.materialize(mask & masks.causal(), one_document(24))[0])


def test_the_lambda_shows_itself_its_neighbour_and_every_fourth():
    distance = np.subtract.outer(np.arange(24), np.arange(24))
    assert (picture(MASKS["every fourth"]) == ((distance >= 0) & ((distance % 4 == 0) | (distance == 1)))).all()


def test_the_mask_mod_is_the_window_of_the_library():
    assert (picture(MASKS["window of 16"]) == picture(masks.window(15))).all()


def test_runs_differ_in_their_mask_alone():
    runs = [experiment(get_config(), name) for name in MASKS]
    assert [run.mask for run in runs] == list(MASKS.values())
    alike = [dataclasses.replace(run, mask=None, name="") for run in runs]
    assert all(run == alike[0] for run in alike)


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "document": np.repeat(np.arange(40), 5),
            "group": np.repeat(np.arange(40), 5),
            "position": np.tile(np.arange(5), 40),
            "token": random.integers(0, 9, 200),
            "label/digits": pd.Categorical.from_codes(random.integers(0, 2, 200), ["none", "one"]),
            "score/ar": random.normal(5, 2, 200),
        }
    )


def test_a_constant_difference_is_found_without_any_width(table, tmp_path):
    """Unpaired, the spread of the tokens would drown it."""
    worse = table.assign(**{"score/ar": table["score/ar"] + np.where(table["label/digits"] == "one", 0.5, 0.25)})
    files = {"causal": epath.Path(tmp_path / "a.parquet"), "other": epath.Path(tmp_path / "b.parquet")}
    for name, data in {"causal": table, "other": worse}.items():
        files[name].write_bytes(data.to_parquet(index=False))
    console = Console(file=io.StringIO(), width=110)
    compare.compare(files, "causal", {"causal": None, "other": masks.strided(2)}, epath.Path(tmp_path), console)
    found = pd.read_csv(tmp_path / "comparison.csv").set_index(["family", "label"])
    assert found.loc[("digits", "one"), "difference"] == pytest.approx(0.5)
    assert found.loc[("digits", "one"), ["low", "high"]].tolist() == pytest.approx([0.5, 0.5])
    assert found.loc[("digits", "none"), "difference"] == pytest.approx(0.25)
    assert found.loc[("all", "all"), "tokens"] == 200
    assert "+0.500 [+0.500, +0.500]" in console.file.getvalue()
    assert (tmp_path / "comparison.png").stat().st_size > 10_000


def test_runs_on_other_text_are_not_compared(table, tmp_path):
    files = {"causal": epath.Path(tmp_path / "a.parquet"), "other": epath.Path(tmp_path / "b.parquet")}
    files["causal"].write_bytes(table.to_parquet(index=False))
    files["other"].write_bytes(table.assign(token=1).to_parquet(index=False))
    with pytest.raises(ValueError, match="holds other tokens than"):
        compare.compare(files, "causal", {"causal": None, "other": None}, epath.Path(tmp_path))
