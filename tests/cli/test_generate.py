"""`hybridlm generate` refuses in a sentence, and prints what a model writes: the same for a seed, up to a stop."""

import dataclasses

import jax
import numpy as np
import pytest

from hybridlm import interop
from hybridlm.cli import main as command
from hybridlm.config.sampling import Choice, SamplingConfig
from hybridlm.data import tokenizer_json
from hybridlm.models import decoder
from hybridlm.offline import generate as generation
from hybridlm.offline.opened import open_model
from hybridlm.offline.published import Published
from tests.interop.networks import FIXTURES, logits

CONTEXT = 48
TEXTS = ["the river runs slowly behind the hill", "a dog barks at the moon", "the hill is green"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A small Llama of random weights with a tokenizer, in a directory as others publish it; some ids have no text."""
    tokenizer = tokenizer_json.train(TEXTS, 280)
    llama = interop.describe(FIXTURES / "llama")
    size = tokenizer.vocab_size + 5
    config = dataclasses.replace(llama.config, init_std=0.5, dtype="float32")
    model = dataclasses.replace(llama, config=config, vocab_size=size, context=CONTEXT)
    params = decoder.init(config, size, jax.random.key(0))
    directory = tmp_path_factory.mktemp("models") / "tiny-llama"
    interop.save_pretrained(directory, model, params, files={"tokenizer.json": tokenizer.content})
    return directory


@pytest.fixture(scope="module")
def opened(directory):
    return open_model(directory, overrides={})


def generate(capsys, directory, *words):
    assert command.main(["generate", f"--model={directory}", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt="], "--prompt is empty, but a model continues a text; give it the beginning of one."),
        (["--prompt=a", "--tokens=0"], "tokens=0 must be at least 1."),
        (["--prompt=a", "--steps=0"], "steps=0 must be at least 1"),
        (["--prompt=a", "--temperature=-1"], "temperature=-1.0 must not be negative"),
        (["--prompt=a", "--sampler=speculativ"], "there is no sampler 'speculativ'; did you mean 'speculative'?"),
        (
            ["--prompt=a", "--experts=ar,block"],
            "--experts=ar,block is of --sampler=combined alone, and needs --combination",
        ),
        ([], "the following arguments are required: --prompt"),
    ],
)
def test_mistakes_in_flags_are_refused_before_anything_is_opened(words, message, capsys):
    assert command.main(["generate", "--model=nowhere/at/all", *words]) == 64
    assert message in capsys.readouterr().err


def test_mistakes_about_the_model_are_refused_before_its_weights_are_read(directory, capsys, monkeypatch):
    monkeypatch.delattr(Published, "load")

    def refused(*words):
        assert command.main(["generate", f"--model={directory}", *words]) == 64
        return capsys.readouterr().err

    assert "leaves no room in the 48 that the model was made for; shorten it." in refused("--prompt=" + "dog xyz " * 30)
    text = refused("--prompt=the river", "--tokens=47")
    assert "and --tokens=47 more pass the 48 that the model was made for; ask for --tokens=" in text
    assert (
        "sampler 'speculative' needs a model trained to predict the next token and to denoise masked ones"
        in refused("--prompt=the river", "--tokens=4", "--sampler=speculative")
    )
    assert "holds no run" in refused("--prompt=a", f"--model={directory.parent}")


def test_greedy_text_is_the_networks_own(directory, capsys):
    out = generate(capsys, directory, "--prompt=the river", "--tokens=5", "--temperature=0")
    model, params = interop.load_pretrained(directory)
    tokenizer = tokenizer_json.from_bytes((directory / "tokenizer.json").read_bytes())
    ids = [tokenizer.bos, *tokenizer.encode_batch(["the river"])[0].tolist()]
    for _ in range(5):
        row = np.asarray(logits(model, params, np.array([ids]))[0, -1])[: tokenizer.vocab_size]
        ids.append(int(row.argmax()))
        if ids[-1] == tokenizer.eos:
            break
    assert out == tokenizer.decode(ids) + "\n"


def test_several_texts_are_told_apart_and_are_the_same_for_a_seed(opened, directory, capsys):
    config = SamplingConfig(tokens=6, num=2, seed=3, choice=Choice(top_k=50))
    texts, _ = generation.write(opened, ["the hill", "a dog barks"], config)
    assert [text.prompt for text in texts] == ["the hill"] * 2 + ["a dog barks"] * 2
    assert len({tuple(text.ids) for text in texts}) == 4
    out = generate(
        capsys,
        directory,
        "--prompt=the hill",
        "--prompt=a dog barks",
        "--num=2",
        "--tokens=6",
        "--seed=3",
        "--top_k=50",
    )
    assert out == "".join(f"-------- {n}\n{text.prompt}{text.written}\n" for n, text in enumerate(texts, 1))


def test_a_text_ends_before_its_stop_string_and_is_heard_piece_by_piece(opened):
    config = SamplingConfig(tokens=24, chunk=4, seed=1)
    whole = generation.write(opened, ["the moon"], config)[0][0]
    stop = next(character for character in whole.written[8:] if character.isalnum())
    heard = []
    ended = generation.write(
        opened, ["the moon"], dataclasses.replace(config, stop=(stop,)), heard=lambda number, piece: heard.append(piece)
    )[0][0]
    assert ended.written == whole.written[: whole.written.index(stop)] == "".join(heard)
    assert len(list(filter(None, heard))) > 1 and whole.ids[: len(ended.ids)] == ended.ids
