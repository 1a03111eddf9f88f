"""What a finished process says to the launcher, which decides by this number alone whether to start it again."""

import enum


class ExitCode(enum.IntEnum):
    """Exit codes of `hybridlm`; any other number is a crash of the machine or the program and may be retried."""

    DONE = 0
    """All steps are taken, and the last checkpoint is sealed."""
    CONFIG = 64
    """The config or the data broke a rule; the same command fails again."""
    DIVERGED = 70
    """The loss stayed non-finite; a person must look before it runs on."""
    IO = 74
    """A checkpoint or a file could not be written or trusted."""
    PREEMPTED = 75
    """Stopped by a signal with its checkpoint saved; start it again, it costs no attempt."""
