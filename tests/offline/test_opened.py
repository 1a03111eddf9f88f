"""A model is opened without any text of its own, wherever its weights come from."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from hybridlm import interop
from hybridlm.config.errors import ConfigError
from hybridlm.models import decoder
from hybridlm.offline import published
from hybridlm.offline.continuations import requests
from hybridlm.offline.likelihoods import likelihoods
from hybridlm.offline.opened import open_model
from hybridlm.storage.checkpoints import Checkpoints
from tests.fixtures.small_run import devices
from tests.interop.networks import FIXTURES, logits

CHANGED = {"evaluation.batch_rows": "2"}
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())


@pytest.fixture
def without_bos(tmp_path):
    """A network whose tokenizer knows bytes alone, in a directory, and the network itself."""
    backend = tokenizers.Tokenizer(models.BPE({piece: n for n, piece in enumerate(ALPHABET)}, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    model = dataclasses.replace(interop.describe(FIXTURES / "llama"), vocab_size=256, context=16, special={})
    params = decoder.init(model.config, model.vocab_size, jax.random.key(0))
    interop.save_pretrained(tmp_path / "model", model, params, files={"tokenizer.json": backend.to_str().encode()})
    return tmp_path / "model", model, params


def test_a_network_without_bos_is_asked_from_its_second_token_on(without_bos):
    directory, model, params = without_bos
    with devices(1):
        opened = open_model(directory, overrides={"evaluation.batch_rows": "2"})
        texts = ["the old dog", "the old dog walks behind"]  # the second needs two windows of 15 tokens
        found = likelihoods(opened)(requests(opened.tokenizer, [("", text) for text in texts]))

    def nats(text, begin, first, end):
        ids = np.array([opened.tokenizer.token_bytes.index(bytes([byte])) for byte in text.encode()[begin:end]])
        table_TV = jax.nn.log_softmax(logits(model, params, ids[None])[0])
        return sum(float(table_TV[place - 1, ids[place]]) for place in range(first - begin, end - begin))

    assert found[0][0] == pytest.approx(nats(texts[0], 0, 1, 11), rel=1e-4)
    assert found[1][0] == pytest.approx(nats(texts[1], 0, 1, 15) + nats(texts[1], 9, 15, 24), rel=1e-4)


def test_a_checkpoint_may_be_named_and_a_published_model_has_none(trained, without_bos):
    with devices(1), pytest.raises(ConfigError, match=f"--step=3 is not among the checkpoints of {trained}"):
        open_model(trained, step=3, overrides={})
    with pytest.raises(ConfigError, match="--step=3 has no meaning for a published model, which is one checkpoint"):
        open_model(without_bos[0], step=3, overrides={})
    with pytest.raises(ConfigError, match="--config.model.width would change what the checkpoint is"):
        open_model(trained, overrides={"model.width": "8"})


def test_what_is_judged_is_what_the_model_is_built_from_and_before_its_weights_are_read(trained, monkeypatch):
    judged = []
    with devices(1):
        opened = open_model(trained, overrides=CHANGED, accept=lambda experiment, tokenizer: judged.append(experiment))
    assert [opened.experiment] == judged and opened.experiment.evaluation.batch_rows == 2

    def refuse(experiment, tokenizer):
        raise ConfigError("it will not do")

    monkeypatch.setattr(Checkpoints, "latest_valid", pytest.fail)
    with pytest.raises(ConfigError, match="it will not do"):
        open_model(trained, overrides=CHANGED, accept=refuse)


def test_a_config_that_is_not_what_the_checkpoint_was_trained_as_is_refused(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    config = json.loads((run / "config.json").read_text())
    config["model"]["activation"] = "relu"
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="config.json has another model than checkpoint [0-9]+ was trained with"):
        open_model(run, overrides={})


def test_a_gguf_file_is_turned_into_a_directory_once(tmp_path, monkeypatch):
    turned = []

    def convert(file, directory):
        directory.mkdir(parents=True, exist_ok=True)
        turned.append((file.name, directory))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(interop, "convert_gguf", convert)
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"one")
    assert published.is_published(file)
    first, again = published.located(file), published.located(file)
    file.write_bytes(b"two")
    assert first == again != published.located(file), "another file of the same name is another model"
    assert first.parent == tmp_path / "cache" / "hybridlm" and {name for name, _ in turned} == {"tiny.gguf"}
