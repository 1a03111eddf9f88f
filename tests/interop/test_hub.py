"""A path stays a path; anything else is asked of the hub, which here is a stand-in."""

import sys
import types

import pytest

from hybridlm import interop
from hybridlm.config.errors import ConfigError


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Records what is asked for; a repository "there/is-none" does not exist."""
    asked = []

    def snapshot_download(repo_id, *, revision, allow_patterns):
        asked.append((repo_id, revision, allow_patterns))
        if repo_id == "there/is-none":
            raise FileNotFoundError("404")
        return str(tmp_path / "snapshot")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    return asked


def test_a_directory_is_never_looked_for_elsewhere(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner/name").mkdir(parents=True)
    assert str(interop.locate("owner/name")) == "owner/name"
    assert hub == []


def test_an_id_and_its_revision_are_fetched_without_pickles_or_code(hub, tmp_path):
    assert str(interop.locate("EleutherAI/pythia-70m@step3000")) == str(tmp_path / "snapshot")
    ((repo_id, revision, patterns),) = hub
    assert (repo_id, revision) == ("EleutherAI/pythia-70m", "step3000")
    assert {pattern.rpartition(".")[2] for pattern in patterns} == {"safetensors", "json", "model"}


def test_what_is_neither_is_refused(hub):
    with pytest.raises(ConfigError, match="no directory 'models/of/mine', and it is no id of the Hugging Face hub"):
        interop.locate("models/of/mine")
    with pytest.raises(ConfigError, match=r"hub does not give it either \(404\). Check the spelling and the network"):
        interop.locate("there/is-none")


def test_a_directory_that_was_misspelt_is_named(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there/is-one").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"no directory 'there/is-none' here; did you mean there/is-one\? The Hugg"):
        interop.locate("there/is-none")
