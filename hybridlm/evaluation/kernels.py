"""May the attention backend that a config names run here at all? Asked of a plain mask, before rows are made.

What a kernel asks of machine, number format and width it asks of every mask, and a causal one each of them takes.
"""

import jax

from hybridlm import attention, masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.model import ModelConfig
from hybridlm.facts.tokens import one_document

LENGTH = 1024
"""Of a row that no kernel finds too short."""


def check(model: ModelConfig) -> None:
    """Refuses a backend that cannot run this model on the devices of this process; "auto" always finds one that can."""
    if model.attention_backend == "auto":
        return

    def trial():
        about = {"dtype": model.dtype, "head_width": model.key_width, "backend": model.attention_backend}
        attention.plan(masks.causal(), one_document(LENGTH), **about)

    try:
        jax.eval_shape(trial)
    except ValueError as error:
        raise ConfigError(f"model.attention_backend={model.attention_backend!r}: {error}") from error
