"""From ids, as they come, to text that is certain: whole characters, nothing that may yet become a stop string."""

import codecs
from collections.abc import Callable, Iterable, Sequence


class Reader:
    """The text of one row. However its ids are cut into pieces, the text is the same.

    It ends before the stop string that is complete first; of those complete at the same byte, before the longest.
    `size` counts the bytes that have become text.
    """

    def __init__(self, to_bytes: Callable[[Iterable[int]], bytes], stops: Sequence[str] = ()):
        self._to_bytes, self._stops = to_bytes, [stop.encode() for stop in stops]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = b""
        self.size, self.has_stopped = 0, False

    def read(self, ids: Iterable[int]) -> str:
        """Text that has become certain by these ids."""
        if self.has_stopped:
            return ""
        self._pending += self._to_bytes(ids)
        end = self._end()
        self.has_stopped = end is not None
        certain = len(self._pending) - self._doubtful() if end is None else end
        text = self._decoder.decode(self._pending[:certain])
        self.size += certain
        self._pending = self._pending[certain:]
        return text

    def close(self) -> str:
        """What was held back, where no stop string came of it; bytes that are no character become U+FFFD."""
        rest = b"" if self.has_stopped else self._pending
        self._pending = b""
        self.size += len(rest)
        return self._decoder.decode(rest, final=True)

    def _end(self) -> int | None:
        """Where the text ends, if a stop string is complete."""
        found = [(self._pending.find(stop), len(stop)) for stop in self._stops]
        ends = [(start + length, start) for start, length in found if start >= 0]
        return min(ends)[1] if ends else None

    def _doubtful(self) -> int:
        """How many of the last bytes may be the beginning of a stop string."""
        beginnings = (stop[:length] for stop in self._stops for length in range(1, len(stop)))
        return max((len(beginning) for beginning in beginnings if self._pending.endswith(beginning)), default=0)
