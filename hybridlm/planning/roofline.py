"""How long a step takes at best, which resource says so, and how long it should be expected to take."""

import dataclasses

from hybridlm.planning.chips import Chip
from hybridlm.planning.estimate import Bytes, Estimate
from hybridlm.planning.workload import Workload

ACHIEVED = 0.55
"""Share of the peak that products and attention are expected to reach in a step, as measured at 1.3B on an H100."""


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of a step that each resource needs at its peak, of one device."""

    operations: float
    memory: float
    wires: float

    @property
    def best(self) -> float:
        """All three at once, each at its peak."""
        return max(self.operations, self.memory, self.wires)

    @property
    def limit(self) -> str:
        """The resource that takes longest."""
        return max(("operations", "memory", "wires"), key=lambda name: getattr(self, name))

    @property
    def expected(self) -> float:
        """Operations at the share of the peak that is reached, traffic hidden behind them, memory after them."""
        return max(self.operations / ACHIEVED, self.wires) + self.memory


def roofline(workload: Workload, chip: Chip, estimate: Estimate, received: Bytes | None = None) -> Roofline:
    """By the data sheet of the chip; `received` is what a device receives in a step as compiled, else it is by rule."""
    mesh, outer = workload.mesh, estimate.traffic["summing copies' gradients"]
    inner = (sum(estimate.traffic.values()) if received is None else received) - outer
    group = mesh.size // (mesh.shape["replica"] * mesh.shape["data"])
    near, far = chip.link, chip.link if mesh.size <= chip.neighbours else chip.network
    wires = inner / (near if group <= chip.neighbours else far) + outer / far
    memory = 2 * (estimate.state + estimate.memory["gradients"] + estimate.memory["kept activations"])
    return Roofline(estimate.work.executed / mesh.size / chip.flops, memory / chip.bandwidth, wires)
