import types

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.data import seqio_examples


class Letters:
    """A vocabulary of the alphabet, from id 2 on; 1 ends a text. It reads any other id as `other`."""

    eos_id = 1

    def __init__(self, other: str = "", model: bytes | None = None):
        self.other = other
        if model:
            self.sp_model = model

    def __str__(self):
        return "Letters"

    def encode(self, text):
        return (ord(letter) - ord("a") + 2 for letter in text)

    def decode(self, ids):
        return "".join(chr(ord("a") + index - 2) if 2 <= index < 28 else self.other for index in ids)


def feature(dtype: str, rank: int, vocabulary=None):
    return types.SimpleNamespace(dtype=types.SimpleNamespace(name=dtype), rank=rank, vocabulary=vocabulary)


def row(*ids):
    return np.array(ids, np.int32)


def test_strings_are_joined_by_a_line_break_where_both_say_something():
    string = feature("string", 0)
    read, model = seqio_examples.reading({"inputs": string, "targets": string, "weight": feature("float32", 0)}, "s")
    assert model is None
    assert read({"inputs": b"why?", "targets": b"so."})["text"] == b"why?\nso."
    assert read({"inputs": b"", "targets": b"so."})["text"] == b"so."
    assert read({"targets": b"so."})["text"] == b"so."


def test_ids_of_a_model_stay_ids_and_lose_the_one_that_ends_them():
    ids = feature("int32", 1, Letters(model=b"model"))
    read, model = seqio_examples.reading({"inputs": ids, "targets": ids}, "s")
    found = read({"inputs": row(5, 6, 1), "targets": row(7, 1, 8, 1, 1)})
    assert found["ids"].tolist() == [5, 6, 7, 1, 8, 1]
    assert (found["prefix_length"], found["ends_removed"], model) == (2, 2, b"model")
    found = read({"inputs": row(), "targets": row(7)})
    assert (found["ids"].tolist(), found["prefix_length"], found["ends_removed"]) == ([7], 0, 0)


def test_ids_of_another_vocabulary_become_the_text_that_has_them():
    ids = feature("int64", 1, Letters())
    read, model = seqio_examples.reading({"inputs": ids, "targets": ids}, "s")
    assert model is None
    assert read({"inputs": row(9, 10), "targets": row(4, 2, 21, 1)}) == {"text": b"hi\ncat", "ends_removed": 1}


@pytest.mark.parametrize("other", ["", "?", "a"])
def test_ids_that_no_text_has_are_refused(other):
    read, _ = seqio_examples.reading({"targets": feature("int32", 1, Letters(other))}, "s")
    with pytest.raises(ConfigError) as error:
        read({"targets": row(2, 99, 3)})
    assert str(error.value) == (
        f"the vocabulary Letters does not give back what ids stand for: it reads [2, 99, 3] as 'a{other}b', which has "
        "other ids. Leave out the preprocessors that tokenize, so that the examples are text."
    )


@pytest.mark.parametrize(
    "features",
    [
        {"inputs": feature("string", 0)},
        {"targets": feature("float32", 1)},
        {"targets": feature("int32", 2)},
        {"inputs": feature("string", 0), "targets": feature("int32", 1)},
    ],
)
def test_features_that_are_no_text_are_refused_by_name(features):
    with pytest.raises(ConfigError) as error:
        seqio_examples.reading(features, "seqio:m:n")
    listed = ", ".join(f"{name} ({kind.dtype.name}, rank {kind.rank})" for name, kind in features.items())
    assert str(error.value) == (
        "the source 'seqio:m:n' has no text: that would be 'targets', with or without 'inputs', as one string or as "
        f"one row of token ids an example. Its output features are {listed}."
    )


def test_inputs_and_targets_of_two_vocabularies_are_refused():
    features = {name: feature("int32", 1, Letters()) for name in ("inputs", "targets")}
    with pytest.raises(ConfigError, match=r"has inputs of one vocabulary \(Letters\) and targets of another \(Letters"):
        seqio_examples.reading(features, "s")
