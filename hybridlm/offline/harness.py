"""A model of ours in the lm-evaluation-harness, for tasks that the package `lm_eval` describes.

    python -m hybridlm.offline.harness run --model hybridlm --model_args pretrained=runs/a --tasks lambada_openai

or, in Python, `lm_eval.simple_evaluate(model=Harness("runs/a"), tasks=[...])`. Every request opens with BOS,
and its tokens are scored by the scorer of `evaluate`.
"""

from collections.abc import Sequence
from typing import Any

from hybridlm.config.errors import require
from hybridlm.offline.continuations import requests as encoded
from hybridlm.offline.likelihoods import likelihoods
from hybridlm.offline.opened import open_model
from hybridlm.offline.until import continued

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ModuleNotFoundError:  # without the extra there is nothing to be a model of
    LM, register_model = None, lambda name: lambda model: model


@register_model("hybridlm")
class Harness(LM or object):
    """A run, a directory of safetensors, a GGUF file or an id of the Hugging Face hub."""

    def __init__(
        self,
        pretrained: str,
        reading: str = "",
        step: int = -1,
        max_length: int | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
        **overrides: object,
    ):
        """`max_length` tokens are a window, BOS among them, by default those of a training row.

        `overrides` are of the config, as "model.dtype". The largest batch and the device are JAX's to choose.
        """
        require(LM is not None, "the harness needs the package lm_eval: pip install 'hybridlm[harness]'.")
        super().__init__()
        changes = {name: str(value) for name, value in overrides.items()}
        changes |= {"data.row_length": str(max_length)} if max_length else {}
        self._opened = open_model(pretrained, step=step, overrides=changes)
        self._likelihoods = likelihoods(self._opened, reading, int(batch_size) if str(batch_size).isdecimal() else 0)

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Of every continuation behind its context, and whether each of its tokens was the likeliest."""
        return self._answer("loglikelihood", [request.args for request in requests])

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Of every text as a whole."""
        pairs = [("", *request.args) for request in requests]
        return [value for value, _ in self._answer("loglikelihood_rolling", pairs)]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """What follows every context, up to one of the strings it asks for."""
        return continued(self._opened, [request.args for request in requests], self._likelihoods.config.batch_rows)

    def _answer(self, what: str, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
        return self._likelihoods(encoded(self._opened.tokenizer, pairs), what)


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
