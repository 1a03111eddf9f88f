"""Manual pages: the words of roff source, with most of its requests taken away."""

import gzip
import re
from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found, tidy

_STEPS = (
    (r"\\(?:&|f[A-Z])", ""),  # a character without width, and fonts
    (r"^\.\\\".*$", ""),  # comments
    (r"^\.S[HS]\s+(.*)$", r"\n\1"),  # headings
    (r"^\.(?:PP|TP|IP|P|LP)\b[ \t]*\n?", "\n"),  # paragraphs
    (r"^\.[A-Za-z]\w*\s?", ""),  # any other request; its arguments stay
    (r"\\-", "-"),
)


def read(files: Iterable[File]) -> Iterator[Found]:
    """One text per gzipped page."""
    for file in files:
        text = gzip.decompress(file.content).decode("utf-8", "replace")
        for pattern, replacement in _STEPS:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        yield Found(file.name, tidy(text))
