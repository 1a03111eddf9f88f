"""Known shapes by name, each with its parameter count, so that a run can say "1.3B" and mean one network.

All are pre-norm RMSNorm, SwiGLU and rotary; 1.3B, 3B, 7B and 13B are the shapes of Sheared-LLaMA-1.3B, OpenLLaMA-3B,
Llama-2-7B and Llama-2-13B, and their counts are those published.
"""

import dataclasses
from typing import Any

from hybridlm.config.errors import nearest, require
from hybridlm.config.model import ModelConfig


@dataclasses.dataclass(frozen=True)
class Preset:
    """A shape, and the number of parameters it has with a vocabulary of `vocab_size`."""

    config: ModelConfig
    vocab_size: int
    parameters: int


def _shape(width: int, layers: int, heads: int, ffn: int, **switches: Any) -> ModelConfig:
    sizes = {"width": width, "layers": layers, "heads": heads, "kv_heads": heads, "ffn": ffn}
    return ModelConfig(**sizes, vocab_multiple=128, **switches)


_BF16 = {"dtype": "bfloat16"}
_LARGE = {"dtype": "bfloat16", "tied_head": False}
_LONG = dict(**_LARGE, loop="scan", remat="dots")

PRESETS = {
    "4M": Preset(_shape(256, 4, 4, 704), 4_096, 4_262_144),
    "25M": Preset(_shape(384, 8, 6, 1_024), 32_000, 26_450_304),
    "125M": Preset(_shape(768, 12, 12, 2_048, **_BF16), 50_257, 123_587_328),
    "350M": Preset(_shape(1_024, 24, 16, 2_816, **_BF16), 32_000, 341_099_520),
    "1.3B": Preset(_shape(2_048, 24, 16, 5_504, **_LARGE), 32_000, 1_345_423_360),
    "3B": Preset(_shape(3_200, 26, 32, 8_640, **_LONG), 32_000, 3_426_473_600),
    "7B": Preset(_shape(4_096, 32, 32, 11_008, **_LONG), 32_000, 6_738_415_616),
    "13B": Preset(_shape(5_120, 40, 40, 13_824, **_LONG), 32_000, 13_015_864_320),
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """The named shape with some fields changed, as in `preset("125M", loop="scan")`."""
    require(name in PRESETS, f"there is no model preset {name!r}{nearest(name, PRESETS)}")
    return dataclasses.replace(PRESETS[name].config, **changes)
