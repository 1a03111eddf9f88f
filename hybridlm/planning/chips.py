"""What chips can do, from their makers' data sheets, and machines built of them: `v5e:16x16`, `h100:8`, `cpu:8`."""

import dataclasses
import math
import re

from hybridlm.config.errors import nearest, require

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip, in bytes and seconds.

    Attributes:
      platform: "tpu", "gpu" or "cpu". flops: bfloat16 operations a second, or 0 where no data sheet says.
      memory: bytes a program may use. bandwidth: of that memory. link: what a chip receives from its neighbours.
      network: what it receives from elsewhere, if more than `neighbours` chips work together.
    """

    platform: str
    flops: float = 0.0
    memory: float = math.inf
    bandwidth: float = 0.0
    link: float = 0.0
    network: float = 0.0
    neighbours: int = 1


CHIPS = {
    "v5e": Chip("tpu", 197e12, 15.75 * GIB, 0.819e12, 200e9, 3.1e9, 256),
    "v5p": Chip("tpu", 459e12, 95.0 * GIB, 2.765e12, 600e9, 6.25e9, 8960),
    "v6e": Chip("tpu", 918e12, 31.25 * GIB, 1.64e12, 448e9, 6.25e9, 256),
    "h100": Chip("gpu", 989e12, 79.6 * GIB, 3.35e12, 450e9, 50e9, 8),
    "cpu": Chip("cpu"),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """So many chips of a kind; `shape` is how a TPU slice is wired."""

    name: str
    chip: Chip
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.name}:{'x'.join(map(str, self.shape))}"


def parse(text: str) -> Topology:
    """The machine a flag names."""
    name, _, shape = text.partition(":")
    require(name in CHIPS, f"--topology={text} names no chip that is known{nearest(name, CHIPS)}")
    require(
        re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape) is not None,
        f"--topology={text} has no shape; write how many chips there are, as in v5e:16x16, v5p:4x4x8 or h100:8.",
    )
    sizes = tuple(map(int, shape.split("x")))
    axes = {"v5e": 2, "v6e": 2, "v5p": 3}.get(name, 1)
    require(
        len(sizes) == axes,
        f"--topology={text} has {len(sizes)} axes, and a machine of {name} is wired along {axes}; its name counts "
        f"chips along each, as in {name}:{'x'.join(['4'] * axes)}.",
    )
    return Topology(name, CHIPS[name], sizes)
