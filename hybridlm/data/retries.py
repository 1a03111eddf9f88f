"""What a remote store refuses once it often grants a second later; a local disk that fails is asked once."""

import errno
import time
from collections.abc import Callable

from absl import logging
from etils import epath

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts; together less than a notice of preemption leaves."""

_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def again[T](path: epath.Path, action: Callable[[], T]) -> T:
    """The result of an action on a path, tried a few times on a remote store unless its error is there to stay."""
    for pause in PAUSES if "://" in str(path) else ():
        try:
            return action()
        except (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError):
            raise
        except Exception as error:  # every store has errors of its own, few of them OSError
            if getattr(error, "errno", None) in _LASTING:
                raise
            logging.warning("%s: %s; trying again in %g s", path, error, pause)
            time.sleep(pause)
    return action()
