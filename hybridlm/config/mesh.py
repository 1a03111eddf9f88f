"""Over which devices a run is divided, and how: one size per axis of the mesh."""

import dataclasses
import math

from hybridlm.config.errors import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Sizes of the device mesh; one of them may be -1 for "what is left".

    Attributes:
      replica: groups of devices that only the slower network joins, such as slices of a TPU pod, each with a copy of
        the model. data: copies of the model within a group. fsdp: ways that parameters are divided, and rows with them.
      tensor: ways that heads, inner widths and the vocabulary are divided.
      sequence: ways that every row is divided, for texts too long for one device; parameters are divided as well.
    """

    replica: int = 1
    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    sequence: int = 1

    def __post_init__(self):
        sizes = self.sizes.values()
        require(
            sum(size == -1 for size in sizes) <= 1 and all(size == -1 or size >= 1 for size in sizes),
            f"mesh sizes must be positive, and at most one may be -1 for 'what is left'; got {self}.",
        )

    @property
    def sizes(self) -> dict[str, int]:
        """By the name of the axis, the slowest network first."""
        return dataclasses.asdict(self)

    @property
    def row_ways(self) -> int:
        """Ways that the rows of a batch are divided, as far as this config alone says it."""
        return math.prod(max(size, 1) for size in (self.replica, self.data, self.fsdp))

    def __str__(self) -> str:
        return ", ".join(f"{axis}={size}" for axis, size in self.sizes.items())
