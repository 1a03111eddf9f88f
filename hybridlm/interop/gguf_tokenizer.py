"""The tokenizer inside a GGUF file as the `tokenizer.json` it was made from: byte-level BPE."""

from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from hybridlm.config.errors import nearest, require

ROLES = {"bos": "bos", "eos": "eos", "pad": "padding"}
"""Role -> its name in the file's keys."""

CUTS = {
    "gpt-2": [],
    "smollm": [pre_tokenizers.Digits(individual_digits=True)],
}
"""How text is cut before the merges, by the file's name for it; GPT-2's own pattern follows."""

CONTROL, USER_DEFINED = 3, 4


def tokenizer_json(values: Mapping[str, Any]) -> str:
    """The text of a `tokenizer.json`, from the fields of the file; raises ConfigError for other kinds of tokenizer."""
    kind, cut = values.get("tokenizer.ggml.model"), values.get("tokenizer.ggml.pre", "gpt-2")
    require(kind == "gpt2", f"the GGUF file has a tokenizer of kind {kind!r}; only byte-level BPE, 'gpt2', is read.")
    require(
        cut in CUTS, f"the GGUF file cuts text by the rules of {cut!r}, which are not known here{nearest(cut, CUTS)}"
    )
    pieces, kinds = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in values["tokenizer.ggml.merges"]]
    backend = tokenizers.Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence([*CUTS[cut], pre_tokenizers.ByteLevel(add_prefix_space=False)])
    backend.decoder = decoders.ByteLevel()
    added = [(piece, kind) for piece, kind in zip(pieces, kinds) if kind in (CONTROL, USER_DEFINED)]
    backend.add_tokens(
        [tokenizers.AddedToken(piece, special=kind == CONTROL, normalized=False) for piece, kind in added]
    )
    return backend.to_str()
