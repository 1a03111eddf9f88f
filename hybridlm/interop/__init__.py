"""Other people's weights in, ours out: a directory of config.json and safetensors, as `transformers` has it.

    directory = interop.locate("EleutherAI/pythia-70m@step3000")      # or a path; asks the hub where it is none
    model, params = interop.load_pretrained(directory)                # model.config, .vocab_size, .objective, .mask
    h_BTD, _ = decoder.apply(model.config, model.vocab_size, params, tokens_BT, facts, mix)

    interop.save_pretrained("out", model, params, files={"tokenizer.json": content})
    interop.convert_gguf("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2")    # once; then load_pretrained("smollm2")

An architecture is data: a table from our leaves to its tensors, one file in `families`. What cannot be carried over
number by number is refused by name. No pickle is opened, and no code of a model's author runs.
"""

from hybridlm.interop.export import save_pretrained
from hybridlm.interop.fields import is_published
from hybridlm.interop.gguf_files import convert_gguf
from hybridlm.interop.hub import locate
from hybridlm.interop.pretrained import Pretrained, describe, load_params, load_pretrained
from hybridlm.interop.tensor_files import fingerprint

__all__ = [
    "Pretrained",
    "convert_gguf",
    "describe",
    "fingerprint",
    "is_published",
    "load_params",
    "load_pretrained",
    "locate",
    "save_pretrained",
]
