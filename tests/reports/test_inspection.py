"""An inspection on paper: tokens one can see, shares that add up, a page that stands alone."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from hybridlm.reports import inspection_html, inspection_plots, inspection_terminal
from hybridlm.reports.inspection import (
    Drop,
    Family,
    Frequencies,
    Label,
    Model,
    PackedRow,
    Parameter,
    Portion,
    Text,
    Token,
    distribution,
    percent,
    save_distribution,
    spelled,
)

EVIL = "</style><script>alert('x')</script>"
FAMILY = Family(
    "bracket",
    "A bracket?",
    (
        Label("none", "no bracket", {"all": 750, "code": 250, EVIL: 500}, (Token("the", 500),), (Token(EVIL, 1),)),
        Label("open", "opens", {"all": 250, "code": 250, EVIL: 0}, (Token("(", 250),), ()),
        Label("mixed", "both", {"all": 0, "code": 0, EVIL: 0}, (), ()),
    ),
)


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(
        facts={"sources": EVIL, "row length": 4096},
        portions=(
            Portion("train", "all", 12, 3, 1000, 2500, 0.75),
            Portion("train", "code", 7, 3, 500, 1000),
            Portion("train", EVIL, 5, 2, 500, 1500),
        ),
        drops=(Drop("not UTF-8", 2, 99, EVIL),),
        families=(FAMILY,),
        frequencies=Frequencies(np.array([9, 3, 2, 1]), np.array([0, 1, 3, 3]), ("a_quarter", "b", "c", "d")),
        rows=(PackedRow(EVIL, np.array([1, 1, 2, 0]), np.tril(np.ones((4, 4), bool))),),
    )


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(
        facts={"parameters": 1_234_567},
        parameters=(Parameter("layers/ffn/up", (2, 8), 16, "- tensor"),),
        checkpoints={"5": "", "10": f"state/d has {EVIL}"},
        masks={"ar": np.eye(3, dtype=bool)},
        config=f'{{"name": "{EVIL}"}}',
    )


class Page(HTMLParser):
    """Tags with their attributes, and those never closed."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (b" the", "␣the"),
        (b"\n\t", "↵⇥"),
        (b"\xe2\x80", r"\xe2\x80"),
        ("漢é".encode(), "漢é"),
        (b"\x00\r", r"\x00\r"),
        (b"'\\", "'\\"),
    ],
)
def test_tokens_can_be_seen(token, shown):
    assert spelled(token) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "–"), (1e-9, "<0.1%"), (0.0006, "0.1%"), (0.1234, "12.3%"), (1.0, "100.0%")]
)
def test_what_is_there_is_never_shown_as_nothing(share, shown):
    assert percent(share) == shown


def test_the_distribution_has_a_line_for_every_label_and_domain(tmp_path):
    table = distribution((FAMILY,)).set_index(["label", "domain"])
    assert len(table) == 9
    assert table.share["none", "all"] == 0.75 and table.share["open", "code"] == 0.5
    assert table.groupby("domain").share.sum().tolist() == [1, 1, 1]
    save_distribution((FAMILY,), tmp_path / "distribution.csv")
    assert (tmp_path / "distribution.csv").read_text().splitlines()[:2] == [
        "family,label,domain,tokens,share",
        "bracket,none,all,750,0.75",
    ]


def test_the_page_stands_alone_and_escapes_what_users_wrote(text, model, tmp_path):
    inspection_html.write(EVIL, text, model, tmp_path / "page.html")
    written = (tmp_path / "page.html").read_text()
    page = Page(written)
    assert page.open == []
    assert [tag for tag, _ in page.tags].count("script") == 1 and "<script>alert" not in written
    assert not re.search(r"https?:|@import|url\(|file:|<link|<iframe", written)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 3 and all(image["alt"] for image in images)  # the curve, a row, a mask
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    names = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"} <= names


def test_the_page_says_what_the_records_say(text, model):
    page = inspection_html.render("tiny", text, model)
    for part in ("75.00%", "2.50", "not UTF-8", "4,096", 'width: 25.00%"', "1,234,567", "2 × 8", "- tensor"):
        assert part in page, part
    assert page.count("every byte as it was saved") == 1 and "✗ state/d has" in page
    assert page == inspection_html.render("tiny", text, model)


def test_a_part_that_was_not_asked_for_is_not_there(text, model):
    only_text, only_model = inspection_html.render("tiny", text, None), inspection_html.render("tiny", None, model)
    assert 'id="classes"' in only_text and 'id="parameters"' not in only_text
    assert 'id="classes"' not in only_model and 'id="parameters"' in only_model


def test_the_curve_marks_every_band_that_has_ids(text):
    axis = inspection_plots.curve(text.frequencies).axes[0]
    assert [label.get_text() for label in axis.texts] == ["a\n1 ids", "b\n1 ids", "d\n2 ids"]
    assert axis.lines[0].get_ydata().tolist() == [9, 3, 2, 1]
    assert axis.get_xscale() == axis.get_yscale() == "log"


def test_bands_by_rank_are_marked_where_the_vocabulary_reaches_them():
    many = Frequencies(np.arange(2_000, 0, -1), np.zeros(2_000, int), ("a",))
    assert "rank 1,000 " in [label.get_text() for label in inspection_plots.curve(many).axes[0].texts]


def test_a_packed_row_is_coloured_by_document(text):
    strip, matrix = (axis.images[0].get_array() for axis in inspection_plots.packed(text.rows[0]).axes)
    assert strip.tolist() == [[1, 1, 2, 0]]
    assert matrix.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [2, 2, 2, 0], [0, 0, 0, 0]]


def test_the_terminal_says_the_same_as_far_as_it_is_wide(text, model):
    wide, narrow = Console(width=120, record=True), Console(width=70, record=True)
    inspection_terminal.show(text, model, wide)
    inspection_terminal.show(text, None, narrow)
    said = wide.export_text()
    assert re.search(r"train +1,000 +12 +3 +2,500 +2.50 +75.00%", said)
    assert re.search(r"none +750 +75.0% +50.0% +100.0% +the", said)
    assert re.search(r"checkpoint 5 +whole", said) and re.search(r"checkpoint 10 +damaged: state/d", said)
    assert re.search(r"layers/ffn/up +2 x 8 +16 +- tensor", said)
    assert re.search(r"none +750 +75.0% +the", narrow.export_text())
