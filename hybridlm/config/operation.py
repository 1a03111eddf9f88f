"""How a run is watched and kept alive. Nothing here changes a number it computes, so any of it may change on resume."""

import dataclasses

from hybridlm.config.errors import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperationConfig:
    """Attributes:
    hang_seconds: after so long without a step, or a batch of a reading, every thread's stack is printed and the process
      ends, for a launcher to start it again; 0 waits for ever. Compiling counts, so leave room for it.
    spike_deviations: a loss or gradient norm so many standard deviations above the mean of the last 128 steps is
      recorded for `hybridlm replay`, as what is not finite always is; 0 records no spikes.
    profile_from, profile_steps: first step of a profile and how many it spans, written to <workdir>/profile; 0 steps
      make none.
    compile_cache: directory (local or gs://) of compiled programs that outlive the process; "" leaves it to
      JAX_COMPILATION_CACHE_DIR.
    """

    hang_seconds: float = 3600.0
    spike_deviations: float = 6.0
    profile_from: int = 0
    profile_steps: int = 0
    compile_cache: str = ""

    def __post_init__(self):
        for field in ("hang_seconds", "spike_deviations", "profile_from", "profile_steps"):
            value = getattr(self, field)
            require(value >= 0, f"operation.{field}={value} must not be negative; 0 switches it off.")
        require(
            self.profile_steps == 0 or self.profile_from >= 1,
            f"operation.profile_steps={self.profile_steps} needs operation.profile_from, the first step of it: "
            "steps count from 1, and a later one leaves out compiling.",
        )
