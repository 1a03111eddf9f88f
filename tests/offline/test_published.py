"""Published weights on a user's text: every value is the network's own log-softmax, and nothing is made up."""

import dataclasses
import json

import jax
import numpy as np
import pandas as pd
import pytest
import tokenizers
from etils import epath
from tokenizers import decoders, models, pre_tokenizers

from hybridlm import interop
from hybridlm.cli.main import main
from hybridlm.config.exit_codes import ExitCode
from hybridlm.models import decoder
from hybridlm.offline import published
from tests.interop.networks import FIXTURES, logits

pytestmark = pytest.mark.usefixtures("small_and_plain")

TEXTS = {"a": "the dog walks slowly behind the river.", "b": "def items(x):\n    return x[3] + 41\n"}
HOLES = 5
"""Rows of the embedding that the tokenizer has no id for."""


@pytest.fixture(scope="module")
def directory(prepared, tmp_path_factory):
    """A small Llama with the tokenizer of the tests, in a directory as others publish it."""
    llama = interop.describe(FIXTURES / "llama")
    size = prepared.tokenizer.vocab_size + HOLES
    config = dataclasses.replace(llama.config, init_std=0.5)
    model = dataclasses.replace(llama, config=config, vocab_size=size, context=64)
    params = decoder.init(config, size, jax.random.key(0))
    directory = tmp_path_factory.mktemp("models") / "tiny-llama"
    interop.save_pretrained(directory, model, params, files={"tokenizer.json": prepared.tokenizer.content})
    return directory


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "mine.jsonl"
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in TEXTS.items()))
    return path


def evaluate(model, directory, *words):
    return main(["evaluate", f"--model={model}", f"--workdir={directory}", *words])


@pytest.fixture(scope="module")
def report(directory, mine, tmp_path_factory):
    where = tmp_path_factory.mktemp("report")
    assert evaluate(directory, where, f"--data={mine}", "--config.evaluation.batch_rows=2") == ExitCode.DONE
    return where


def test_values_are_those_of_the_network_itself(directory, prepared, report):
    found = pd.read_parquet(report / "tokens.parquet")
    model, params = interop.load_pretrained(directory)
    for name, text in TEXTS.items():
        tokenizer = prepared.tokenizer
        ids = np.array([tokenizer.bos, *tokenizer.encode_batch([text])[0], tokenizer.eos])
        table_TV = jax.nn.log_softmax(logits(model, params, ids[None])[0])
        here = found[found["document"] == name]
        assert here["token"].tolist() == ids[1:].tolist()
        expected = [-table_TV[place, token] for place, token in enumerate(ids[1:])]
        np.testing.assert_allclose(here["score/published"], expected, rtol=1e-4, atol=1e-4)


def test_nothing_rests_on_training_counts_that_nobody_has(report):
    scores = json.loads((report / "scores.json").read_text())
    assert [column["name"] for column in scores["columns"]] == ["published"]
    families = {row["family"] for row in scores["rows"]}
    assert "character_type" in families and "copy" in families
    assert not families & {"frequency_mass", "frequency_rank", "word_band", "domain_term"}


def test_a_second_run_says_the_same(directory, mine, report, tmp_path):
    assert evaluate(directory, tmp_path, f"--data={mine}", "--config.evaluation.batch_rows=2") == ExitCode.DONE
    ours, theirs = (json.loads((where / "scores.json").read_text())["run"] for where in (tmp_path, report))
    assert ours["values"] == theirs["values"] and len(ours["values"]) == 16
    assert ours["weights"] == interop.fingerprint(directory)[:16] == theirs["weights"]


def test_ids_that_the_network_lacks_are_never_predicted(directory, prepared):
    network = dataclasses.replace(interop.describe(directory), vocab_size=prepared.tokenizer.vocab_size - 2)
    experiment = published.experiment_of(epath.Path(directory), network)
    task = published.published_task(experiment, network, prepared.vocabulary, ())
    size = prepared.tokenizer.vocab_size
    assert task.ids.never == (size - 2, size - 1)


def test_a_network_without_bos_neither_sees_nor_needs_it(mine, tmp_path):
    """Its tokenizer knows bytes alone: what opens and ends a text here is none of its tokens, and is not scored."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE({piece: n for n, piece in enumerate(alphabet)}, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    model = dataclasses.replace(interop.describe(FIXTURES / "llama"), vocab_size=256, context=64, special={})
    params = decoder.init(model.config, model.vocab_size, jax.random.key(0))
    interop.save_pretrained(tmp_path / "no-bos", model, params, files={"tokenizer.json": backend.to_str().encode()})
    assert evaluate(tmp_path / "no-bos", tmp_path / "report", f"--data={mine}") == ExitCode.DONE
    found = pd.read_parquet(tmp_path / "report" / "tokens.parquet")
    for name, text in TEXTS.items():
        ids = np.array([alphabet.index(piece) for piece in backend.encode(text).tokens])
        table_TV = jax.nn.log_softmax(logits(model, params, ids[None])[0])
        here = found[found["document"] == name]
        assert here["token"].tolist() == ids[1:].tolist()
        expected = [-table_TV[place, token] for place, token in enumerate(ids[1:])]
        np.testing.assert_allclose(here["score/published"], expected, rtol=1e-4, atol=1e-4)


REFUSED = {
    "no text": ((), "is a published model, and no held-out text belongs to it; name the text to score with --data="),
    "a step": (("--data={text}", "--step=3"), "--step=3 has no meaning for a published model"),
    "another network": (("--data={text}", "--config.model.width=8"), "--config.model.width would change what the"),
    "rows too long": (
        ("--data={text}", "--config.data.row_length=128"),
        "data.row_length=128 is longer than the 64 tokens that the network was made for",
    ),
}


@pytest.mark.parametrize(("words", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused(directory, mine, tmp_path, capsys, words, says):
    words = [word.format(text=mine) for word in words]
    assert evaluate(directory, tmp_path / "report", *words) == ExitCode.CONFIG
    assert says in capsys.readouterr().err


def test_a_run_that_is_misspelt_is_not_silently_one_of_the_hub(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs" / "quickstart").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert evaluate("runs/quickstrat", "report") == ExitCode.CONFIG
    said = capsys.readouterr().err
    assert "there is no directory 'runs/quickstrat' here; did you mean runs/quickstart? So a model of the " in said
    assert "hub is meant, and no held-out text belongs to it; name the text to score with --data=" in said
