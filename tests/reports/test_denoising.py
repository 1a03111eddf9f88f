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


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page)[1])


def test_the_page_opens_on_the_whole_text():
    page = denoising.render(trace(), PIECES, given=[GIVEN], facts={})
    slider = re.search(r'<input id="step" [^>]*max="(\d+)" value="(\d+)"', page)
    assert slider[1] == slider[2] == "3"


def test_tokens_that_count_as_written_are_those_that_are_masked_no_more():
    """One is written, masked again, and at last both are there; the prompt never counts."""
    page = denoising.render(trace(), PIECES, given=[GIVEN], facts={})
    (counts,) = data_of(page)["counts"]
    assert counts["written"] == [0, 1, 1, 2], "at the second step one is written and the other masked again"
    assert counts["stay"] == [0, 0, 1, 2]


def test_passes_over_what_is_not_shown_are_no_steps():
    """A sampler fills its block beyond the end of the text: here the second pass writes the third token."""
    late_NBT = np.array([[0, MASK, MASK], [0, 5, MASK], [0, 5, 1]])[:, None]
    assert denoising.frames(late_NBT, [3]).tolist() == [0, 1, 2]
    assert denoising.frames(late_NBT, [2]).tolist() == [0, 1]
    both_NBT = np.concatenate([late_NBT, late_NBT], axis=1)
    assert denoising.frames(both_NBT, [2, 3]).tolist() == [0, 1, 2], "a step of one text is one of all"


def test_what_a_later_pass_writes_beyond_the_end_leaves_no_trace():
    """One new token is shown; the one behind it is still masked when the last step that is shown is done."""
    tokens_NBT = np.array([[0, MASK, MASK], [0, 1, MASK], [0, 1, 1]])[:, None]
    frames = {"tokens_NBT": jnp.asarray(tokens_NBT), "confidence_NBT": jnp.ones(tokens_NBT.shape)}
    last = Given(prompt=1, count=2, size=len(" the"), end="Ended before a stop string.")
    page = denoising.render(Trace(**frames, count=jnp.array(3), mask_id=MASK), PIECES, given=[last], facts={})
    assert data_of(page)["texts"] == [[{"given": False, "history": [[0, None, 1.0], [1, " the", 1.0]]}]]
    assert "2, of which 1 changed what is shown" in page


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
    data = data_of(page)
    assert data["steps"] == 3
    assert data["texts"][0][1]["history"][-1] == [3, EVIL, 0.125]
    assert data["ends"] == [EVIL]


def test_bytes_that_are_no_text_are_shown_as_they_are():
    last = events(np.where(TOKENS_NT == 2, 5, TOKENS_NT))[1]["history"][-1]
    assert last == [3, "\\xc3", 0.125]


def test_pieces_of_another_vocabulary_are_refused():
    with pytest.raises(ConfigError, match="the trace has id 4, but there are pieces for 3 ids; give those of the"):
        denoising.render(trace(), PIECES[:3], given=[GIVEN], facts={})
