"""What an example of seqio says: its text or its token ids, inputs before targets.

Ids stay ids where a sentencepiece model explains them. Those of any other vocabulary become text again, if the text has
exactly these ids.
"""

from collections.abc import Callable, Mapping

import numpy as np

from hybridlm.config.errors import ConfigError, require

FEATURES = ("inputs", "targets")
"""What is read of an example; inputs may be missing."""

Example = Mapping[str, object]
Reading = Callable[[Example], dict[str, object]]
"""An example -> `text`, or `ids` and the `prefix_length` of them that are inputs; and `ends_removed`."""


def reading(features: Mapping[str, object], source: str) -> tuple[Reading, bytes | None]:
    """How to read examples with these output features, and the sentencepiece model if they are to be read as ids."""
    used = [features[name] for name in FEATURES if name in features]
    listed = ", ".join(f"{name} ({kind.dtype.name}, rank {kind.rank})" for name, kind in features.items())
    is_text = all(_is(feature, "string", rank=0) for feature in used)
    require(
        "targets" in features and (is_text or all(_is(feature, "int", rank=1) for feature in used)),
        f"the source {source!r} has no text: that would be 'targets', with or without 'inputs', as one string or as "
        f"one row of token ids an example. Its output features are {listed}.",
    )
    vocabulary = features["targets"].vocabulary
    require(
        is_text or all(feature.vocabulary == vocabulary for feature in used),
        f"the source {source!r} has inputs of one vocabulary ({used[0].vocabulary}) and targets of another "
        f"({vocabulary}), and a model has one. Leave 'inputs' out, or the preprocessors that tokenize.",
    )
    if is_text:
        return _text, None
    model = getattr(vocabulary, "sp_model", None)
    return lambda example: (_ids if model else _decoded)(example, vocabulary), model


def _is(feature, dtype: str, *, rank: int) -> bool:
    return feature.dtype.name.startswith(dtype) and feature.rank == rank


def _text(example: Example) -> dict[str, object]:
    return {"text": _joined(_parts(example)), "ends_removed": 0}


def _ids(example: Example, vocabulary) -> dict[str, object]:
    parts, ends = _without_ends(example, vocabulary)
    return {"ids": np.concatenate(parts), "prefix_length": sum(map(len, parts[:-1])), "ends_removed": ends}


def _decoded(example: Example, vocabulary) -> dict[str, object]:
    parts, ends = _without_ends(example, vocabulary)
    return {"text": _joined([_exactly(part.tolist(), vocabulary) for part in parts]), "ends_removed": ends}


def _exactly(ids: list[int], vocabulary) -> bytes:
    """The text that the vocabulary makes of ids, and ids of; raises ConfigError if there is none."""
    text = vocabulary.decode(ids)
    if not isinstance(text, str) or list(vocabulary.encode(text)) != ids:
        raise ConfigError(
            f"the vocabulary {vocabulary} does not give back what ids stand for: it reads {ids[:20]} as {text!r:.80}, "
            "which has other ids. Leave out the preprocessors that tokenize, so that the examples are text."
        )
    return text.encode()


def _parts(example: Example) -> list:
    return [example[name] for name in FEATURES if name in example]


def _joined(parts: list[bytes]) -> bytes:
    return b"\n".join(part for part in parts if part)


def _without_ends(example: Example, vocabulary) -> tuple[list[np.ndarray], int]:
    """The parts without the id that ends them, which packing sets itself, and how many had it."""
    parts = _parts(example)
    has_end = [part.size > 0 and part[-1] == vocabulary.eos_id for part in parts]
    return [part[: part.size - ended] for part, ended in zip(parts, has_end)], sum(map(int, has_end))
