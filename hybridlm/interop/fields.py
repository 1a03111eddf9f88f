"""The fields of a config.json, read so that nothing they say is passed over in silence."""

import json
import re
from collections.abc import Mapping
from typing import Any

from etils import epath

from hybridlm.config.errors import ConfigError, require

CONFIG = "config.json"

_HARMLESS = re.compile(
    r"architectures|model_type|vocab_size|_name_or_path|transformers_version|(torch_)?dtype|precision|auto_map"
    r"|use_cache|.*_token_id|.*dropout.*|.*_pdrop|.*initializer.*|init_.*|summary_.*|task_specific_params|pretraining_tp"
    r"|flash_attention|rope_full_precision|max_window_layers|reorder_and_upcast_attn|gradient_checkpointing|is_decoder"
)
"""Fields that change no number of a forward pass, or only among those asked for elsewhere."""


class Fields:
    """Named values, which remembers the names it was asked for. A null counts as absent."""

    def __init__(self, values: Mapping[str, Any]):
        self._values = {name: value for name, value in values.items() if value is not None}
        self._asked = set()

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default where there is none."""
        self._asked.add(name)
        return self._values.get(name, default)

    def need(self, *names: str) -> Any:
        """The value under the first of these names that has one."""
        value = next((value for name in names if (value := self.get(name)) is not None), None)
        require(
            value is not None,
            f"{CONFIG} lacks {names[0]!r}, without which the shape of the network is unknown; is it the file that was "
            "published with the weights?",
        )
        return value

    def choose(self, name: str, choices: Mapping[Any, Any], default: Any = None) -> Any:
        """What our decoder calls the value; refused where it has no such switch."""
        value = self.get(name, default)
        require(
            value in choices,
            f"{CONFIG} has {name}={value!r}, which this decoder does not have, so its numbers would differ; it has "
            f"{', '.join(map(repr, choices))}.",
        )
        return choices[value]

    def only(self, **allowed: Any) -> None:
        """Refuses other values of these fields than the ones named; absent is as good."""
        for name, value in allowed.items():
            self.choose(name, {value: value}, value)

    def unread(self) -> list[str]:
        """Names that nobody asked for and that may matter."""
        return sorted(name for name in self._values.keys() - self._asked if not _HARMLESS.fullmatch(name))


def read(directory: epath.Path) -> Fields:
    """The fields of the directory's config.json."""
    path = directory / CONFIG
    require(
        path.exists(),
        f"{directory} has no {CONFIG}, so it is no directory of a published model; it should hold {CONFIG} beside the "
        "safetensors.",
    )
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON ({error}); fetch it anew.") from error
    require(isinstance(values, dict), f"{path} must hold named values, not {type(values).__name__}; fetch it anew.")
    require(
        not values.get("quantization_config"),
        f"{path} has quantization_config: the weights are stored in a form of their own. Take the unquantised ones, or "
        "a GGUF file.",
    )
    return Fields(values)


def is_published(directory: epath.PathLike) -> bool:
    """True if the directory holds a published model, by the architecture in its config.json, and not a run of ours."""
    directory = epath.Path(directory)
    return (directory / CONFIG).exists() and read(directory).get("architectures") is not None


def rotary(fields: Fields, fraction: float = 1.0) -> dict[str, float]:
    """The base of the rotary angles and the share of a head that turns, of any age of config.json."""
    newer, older = (fields.get(name, {}) for name in ("rope_parameters", "rope_scaling"))
    for given in (newer, older):
        kind = given.get("rope_type", given.get("type", "default"))
        require(
            kind == "default" and not any(isinstance(value, dict) for value in given.values()),
            f"{CONFIG} scales its rotary positions ({given}), which this decoder cannot: it turns by position · "
            "base^(-2i/w) alone. Take a checkpoint from before its context was extended.",
        )
    base = fields.get("rotary_emb_base", 10_000.0)
    fraction = fields.get("partial_rotary_factor", fields.get("rotary_pct", fraction))
    return {
        "rotary_base": float(newer.get("rope_theta", fields.get("rope_theta", base))),
        "rotary_fraction": float(newer.get("partial_rotary_factor", fraction)),
    }
