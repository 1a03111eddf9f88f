"""Every example of docs/token-scores.md runs as it stands, on stand-ins for the engines."""

import pathlib
import re
import types

import numpy as np
import pytest

from hybridlm.reports import token_file, token_reader
from hybridlm.reports.engines.spans import of_offsets

PAGE = pathlib.Path(__file__).parents[3] / "docs/token-scores.md"
TEXT = "so!"


def tokenizer(text, return_offsets_mapping):
    return {"input_ids": [0, 1, 2], "offset_mapping": [(0, 0), (0, 2), (2, 3)]}


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the examples find already there: texts, and what engines would have returned for them."""
    answer = types.SimpleNamespace(
        prompt_token_ids=[0, 1, 2],
        prompt_logprobs=[None, {1: {"logprob": -1.0, "rank": 1}}, {2: {"logprob": -2.0, "rank": 3}}],
    )
    logprobs = {"tokens": ["so", "!", "?"], "text_offset": [0, 2, 3], "token_logprobs": [None, -2.0, -1.0]}
    found = {
        "directory": tmp_path_factory.mktemp("page"),
        "text": TEXT,
        "texts": {"a": TEXT},
        "tokenizer": tokenizer,
        "token_bytes": [b"", b"so", b"!"],
        "outputs": [answer],
        "responses": {"a": {"choices": [{"text": "so!?", "logprobs": logprobs}]}},
        "ids": {"a": np.array([0, 1, 2])},
        "logits": {"a": np.zeros((3, 4))},
        "task": "t",
        "samples": [{"doc_id": 0, "arguments": [["so", "!"]], "resps": [[[-2.0, False]]]}],
        "ids_N": np.array([1, 2]),
        "ends_N": np.array([2, 3]),
    }
    found["spans_of"] = lambda text: of_offsets(text, tokenizer(text, True)["offset_mapping"])
    return found


def test_the_examples_run_and_their_files_are_read(space):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 7
    for number, block in enumerate(blocks):
        exec(compile(block, f"example {number} of {PAGE.name}", "exec"), space)
        if number == 0:  # the engines' files have no labels
            columns = space["columns"]
            space["header"] = type(space["header"])(
                readings=space["header"].readings, tokenizer="t", checkpoint="c", code="x"
            )
    scores = {
        path.name: np.round(token_reader.read(path).columns["score/ar"], 3).tolist()
        for path in sorted(space["directory"].glob("*.parquet"))
        if ".documents" not in path.name
    }
    assert {name: [n for n in score if n == n] for name, score in scores.items()} == {
        "endpoint.parquet": [2.0],
        "lm_eval.parquet": [2.0],
        "tokens.parquet": [1.25],
        "transformers.parquet": [np.float32(1.386).round(3), np.float32(1.386).round(3)],
        "vllm.parquet": [1.0, 2.0],
    }
    assert columns["score/ar"] == [None, 1.25]
    assert set(space["labelled"]) >= {"label/copy", "label/word_class"}


def test_every_column_of_the_schema_is_on_the_page():
    page = PAGE.read_text()
    assert all(f"`{name}`" in page for name in (*token_file.PLACES, *token_file.FACTS, "readings", "families"))
    assert all(f"`{name}/" in page for name in (*token_file.VALUES, "label", "likeliest"))
    assert f'`"{token_file.FORMAT}"`, `{token_file.VERSION}`' in page
