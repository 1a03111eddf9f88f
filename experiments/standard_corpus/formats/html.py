"""Pages of HTML: the text a reader sees, without menus; a block begins on a new line."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from experiments.standard_corpus.texts import File, Found, tidy

_HIDDEN_TAGS = {"footer", "head", "header", "nav", "noscript", "script", "style", "svg", "title"}
_HIDDEN_CLASSES = {"headerlink", "navfooter", "navheader", "onthispage", "related", "sphinxsidebar", "topbar"}
_BLOCKS = {"br", "dd", "div", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p", "pre", "section", "table", "tr"}


def read(files: Iterable[File]) -> Iterator[Found]:
    """One text per page, without space at the end of lines and with at most one empty line in a row."""
    for file in files:
        page = _Page()
        page.feed(re.sub(r"(<pre[^>]*>)\n", r"\1", file.text))  # by the standard, no newline of the text
        page.close()
        lines = re.sub(r"[ \t]+\n", "\n", "".join(page.parts))
        yield Found(file.name, tidy(re.sub(r"\n{3,}", "\n\n", lines)))


class _Page(HTMLParser):
    """Collects text; of a hidden element only how deep its own tag is nested in it is followed."""

    def __init__(self):
        super().__init__()
        self.parts, self.hidden, self.depth = [], "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = set((dict(attrs).get("class") or "").split())
        if self.hidden:
            self.depth += tag == self.hidden
        elif tag in _HIDDEN_TAGS or classes & _HIDDEN_CLASSES:
            self.hidden, self.depth = tag, 1
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == self.hidden
        if not self.depth:
            self.hidden = ""

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)
