"""The picture of a sampler at work: what became of every token, on a page that stands alone."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import denoising
from hybridlm.reports.denoising import Given
from hybridlm.sampling.trace import Trace

MASK, EVIL = 3, "</script><script>alert('x')</script>"
PIECES = [b"", b" the", EVIL.encode(), b"", b"\n", b"\xc3"]
# BOS and " the" were given; the third token is written, masked again and written anew; the fourth is EOS, 0 as well
TOKENS_NT = np.array([[0, 1, 3, 3], [0, 1, 4, 3], [0, 1, 3, 0], [0, 1, 2, 0], [9, 9, 9, 9]])
CONFIDENCE_NT = np.array([[1, 1, 0, 0], [1, 1, 0.25, 0], [1, 1, 0, 0.5], [1, 1, 0.125, 0.5], [9, 9, 9, 9]])

GIVEN = Given(prompt=2, count=2, size=1 + len(EVIL), end="Ended by itself: ∎")


def events(tokens_NT=TOKENS_NT, given=GIVEN, pieces=PIECES):
    return denoising.events(tokens_NT[:4], CONFIDENCE_NT[:4], pieces, MASK, given)


def trace():
    frames = {"tokens_NBT": jnp.asarray(TOKENS_NT[:, None]), "confidence_NBT": jnp.asarray(CONFIDENCE_NT[:, None])}
    return Trace(**frames, count=jnp.array(4), mask_id=MASK)


def test_every_token_tells_what_became_of_it():
    """Special tokens that were given are left out; frames after `count` are not there."""
    assert events() == [
        {"given": True, "history": [[0, " the", 1.0]]},
        {"given": False, "history": [[0, None, 0.0], [1, "↵\n", 0.25], [2, None, 0.0], [3, EVIL, 0.125]]},
        {"given": False, "history": [[0, None, 0.0], [2, "∎", 0.5]]},
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (Given(prompt=2, count=1, size=99, end=""), " the+end\n"),  # no more was asked for
        (Given(prompt=2, count=0, size=0, end=""), " the+"),
        (Given(prompt=2, count=2, size=2, end=""), " the+en"),  # the stop string begins within a token
        (Given(prompt=2, count=2, size=4, end=""), " the+end\n∎"),
    ],
)
def test_nothing_is_shown_that_was_not_given(given, shown):
    pieces = [*PIECES[:2], b"end\n", *PIECES[3:]]
    texts = [(one["given"], one["history"][-1][1].replace("↵", "")) for one in events(given=given, pieces=pieces)]
    assert "".join(f"{text}+" if is_given else text for is_given, text in texts) == shown


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.found += [value for name, value in attributes if name in ("src", "href")]


def test_the_page_stands_alone_and_runs_nothing_of_the_text(tmp_path):
    path = tmp_path / "page.html"
    denoising.write(trace(), PIECES, path, given=[dataclasses.replace(GIVEN, end=EVIL)], facts={"sampler": EVIL})
    page = path.read_text()
    links = _Links()
    links.feed(page)
    assert links.found == []
    assert links.tags.count("script") == 2
    assert "alert('x')</script>" not in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert data["steps"] == 3
    assert data["texts"][0][1]["history"][-1] == [3, EVIL, 0.125]
    assert data["ends"] == [EVIL]


def test_bytes_that_are_no_text_are_shown_as_they_are():
    last = events(np.where(TOKENS_NT == 2, 5, TOKENS_NT))[1]["history"][-1]
    assert last == [3, "\\xc3", 0.125]


def test_pieces_of_another_vocabulary_are_refused():
    with pytest.raises(ConfigError, match="the trace has id 4, but there are pieces for 3 ids; give those of the"):
        denoising.render(trace(), PIECES[:3], given=[GIVEN], facts={})
