"""What is written about a run says what it ran on and gives no secret away."""

import json
import subprocess
import sys

import jax
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.sharding import distributed
from hybridlm.storage import environment


def test_a_description_is_plain_json_about_this_machine(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    monkeypatch.setattr(sys, "argv", ["train.py", "--api_key=s3cret"])
    described = json.loads(json.dumps(environment.describe()))
    assert described["packages"]["jax"] == sys.modules["jax"].__version__
    assert described["command"] == ["train.py", "--api_key=***"]
    assert described["flags"]["XLA_FLAGS"] == "--xla_dump_to=here"
    assert described["backend"] in described["devices"][0].lower()
    assert described["processes"] == 1


@pytest.mark.parametrize(
    ("word", "safe"),
    [
        ("--hf_token=abc", "--hf_token=***"),
        ("--config.wandb.api-key=abc", "--config.wandb.api-key=***"),
        ("WANDB_API_KEY=abc", "WANDB_API_KEY=***"),
        ("--db.Password=a=b", "--db.Password=***"),
        ("--client_secret=", "--client_secret=***"),
        ("--mirror=https://me:pass@host/path", "--mirror=https://***@host/path"),
        ("--config.data.tokenizer=bpe.json", "--config.data.tokenizer=bpe.json"),
        ("--max_tokens=12", "--max_tokens=12"),
        ("--config=configs/tokenize.py", "--config=configs/tokenize.py"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(word, safe):
    assert environment.redacted(["train", word, "more"]) == ["train", safe, "more"]


def test_a_secret_given_as_the_next_word_is_hidden_too():
    command = ["train", "--token", "abc", "--seed", "3", "--password", "--fast", "slow"]
    assert environment.redacted(command) == ["train", "--token", "***", "--seed", "3", "--password", "--fast", "slow"]


@pytest.fixture
def checkout(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    return package, git("rev-parse", "HEAD").strip()


def test_the_commit_is_named_and_changes_are_owned_up_to(checkout):
    package, sha = checkout
    assert environment.commit(package) == {"sha": sha, "is_dirty": False}
    (package / "__init__.py").write_text("changed = True")
    assert environment.commit(package) == {"sha": sha, "is_dirty": True}


def test_a_package_inside_a_foreign_checkout_has_no_commit(checkout, tmp_path):
    installed = tmp_path / "environment" / "site-packages" / "package"
    installed.mkdir(parents=True)
    assert environment.commit(installed) is None


def test_outside_of_git_there_is_no_commit(tmp_path):
    assert environment.commit(tmp_path) is None


def test_a_lone_process_is_the_one_that_writes():
    assert distributed.is_primary()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a GPU, on which JAX finds CPUs alone."""
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(environment, "_ACCELERATORS", (str(tmp_path / "nvidia[0-9]*"),))
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)


def test_the_cpu_is_never_a_silent_replacement(machine):
    with pytest.raises(
        ConfigError, match=r"has an accelerator \(.*nvidia0\), but JAX finds CPUs alone.*JAX_PLATFORMS=cpu"
    ):
        environment.check_accelerator()


@pytest.mark.parametrize("meant", ["cpu is named", "jax finds it", "there is none"])
def test_a_machine_used_as_it_is_passes(machine, monkeypatch, meant):
    if meant == "cpu is named":
        monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    elif meant == "jax finds it":
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    else:
        monkeypatch.setattr(environment, "_ACCELERATORS", ("/no/such/device",))
    environment.check_accelerator()
