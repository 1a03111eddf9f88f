"""What looks after a run while it runs: the notice of preemption, the clock of hangs, the account of time."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator

from hybridlm.config.operation import OperationConfig
from hybridlm.sharding.distributed import is_primary
from hybridlm.training import hangs
from hybridlm.training.goodput import Goodput
from hybridlm.training.signals import Preemption


@dataclasses.dataclass(frozen=True)
class Watch:
    """Attributes: preemption: whether to stop. goodput: where time goes. alive: to be called at every sign of life."""

    preemption: Preemption
    goodput: Goodput
    alive: Callable[[], None] = lambda: None


@contextlib.contextmanager
def watching(operation: OperationConfig) -> Iterator[Watch]:
    """Looks after what happens in the block, and says in the end where its time went."""
    goodput = Goodput()
    try:
        with Preemption() as preemption, hangs.watched(operation.hang_seconds) as alive, goodput.counting_compilation():
            yield Watch(preemption, goodput, alive)
    finally:
        # a command that was refused has nothing to account for
        if is_primary() and goodput.scalars()["goodput/step_s"]:
            print(goodput.summary(), file=sys.stderr)
