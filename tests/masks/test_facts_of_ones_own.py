"""The recipe of docs/masks.md: a family of labels becomes a column of the rows, and the mask of the config reads it."""

import pathlib
import re

import jax
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.categories import registry
from hybridlm.config import command_line
from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from hybridlm.objectives import mixture
from hybridlm.objectives.text import Ids, from_batch

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "masks.md"
TEXT = "Rivers\n" + "They run slowly to the sea and never come back. " * 2


@pytest.fixture
def config(importable, monkeypatch):
    """The files of the page as they stand, in a directory of their own, and what their config says on a small text."""
    (importable / "mine").mkdir()
    for source in re.findall(r"```python\n(# mine/.*?)```", PAGE.read_text(), re.DOTALL):
        (importable / source.splitlines()[0].removeprefix("# ")).write_text(source)
    (importable / "text").mkdir()
    for number in range(12):
        (importable / "text" / f"{number}.txt").write_text(f"{TEXT}{number}\n")
    monkeypatch.setattr(registry, "_own", [])
    values = {"data.sources": str(importable / "text"), "data.vocab_size": "300", "data.row_length": "128"}
    return command_line.load(str(importable / "mine" / "titles.py"), values)


def test_every_token_sees_its_near_past_and_the_title(config, tmp_path):
    prepared = prepare(config.data, tmp_path / "data", progress=silent)
    text = from_batch(jax.device_put(prepared.rows("train").read([0])))
    ids = Ids(mask=prepared.tokenizer.mask, never=(), size=prepared.tokenizer.vocab_size)
    inputs = mixture.build(config.objectives, text, ids, jax.random.key(0), also=config.mask)
    (sees,) = np.asarray(masks.materialize(inputs.mask, inputs.facts))
    title, segment = (np.asarray(column)[0] for column in (text.columns["first_line"] == 2, text.segment_BT))
    assert prepared.tokenizer.decode(np.asarray(text.tokens_BT)[0][title & (segment == 1)].tolist()) == "Rivers"
    q, k = np.ogrid[: len(segment), : len(segment)]
    expected = (k <= q) & (segment[q] == segment[k]) & (segment[k] > 0) & ((q - k <= 16) | title[k])
    np.testing.assert_array_equal(sees, expected)
    assert (sees & (q - k > 16)).any(), "some title lies farther back than the window"
