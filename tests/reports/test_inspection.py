"""An inspection on paper: tokens one can see, shares that add up, a page that stands alone."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from hybridlm.reports import inspection_gains, inspection_html, inspection_plots, inspection_terminal
from hybridlm.reports.inspection import (
    WHOLE,
    Drop,
    Family,
    Frequencies,
    Inspection,
    Label,
    Model,
    PackedRow,
    Parameter,
    Part,
    Portion,
    Source,
    Text,
    Token,
    distribution,
    percent,
    save_distribution,
    spelled,
)
from hybridlm.reports.inspection_gains import MEANING, Gain, Gains, Share

EVIL = "</style><script>alert('x')</script>"
BOOKS, SHELF, CODE, PROSE = Part(source="books"), Part(source=EVIL), Part(domain="code"), Part(domain=EVIL)


def tokens(*counts: int) -> dict[Part, int]:
    return dict(zip((WHOLE, BOOKS, SHELF, CODE, PROSE), counts, strict=True))


FAMILY = Family(
    "bracket",
    "A bracket?",
    (
        Label("none", "no bracket", tokens(750, 150, 600, 250, 500), (Token("the", 500),), (Token(EVIL, 1),)),
        Label("open", "opens", tokens(250, 50, 200, 250, 0), (Token("(", 250),), ()),
        Label("mixed", "both", tokens(0, 0, 0, 0, 0), (), ()),
    ),
    ("train",),
)
GAIN = Gain(
    model="hybrid",
    family="bracket",
    gain=0.05,
    low=-0.01,
    high=0.11,
    bits_per_byte=(0.02, -0.004, 0.044),
    error_of_gaps=0.03,
    error_of_text=0.001,
    covered=0.9,
    unmeasured=("mixed",),
    classes=(Share("none", 0.75, 0.1, 0.075), Share("open", 0.25, -0.1, -0.025)),
    notes=(f"few {EVIL}",),
)


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(
        facts={"row length": 4096},
        findings=(f"exact duplicates: none {EVIL}",),
        sources=(Source("books", "en", "public domain"), Source(EVIL)),
        portions=(
            Portion("train", WHOLE, 12, 3, 1000, 2500, 0.75),
            Portion("train", BOOKS, 2, 1, 200, 500, 0.5),
            Portion("train", SHELF, 10, 2, 800, 2000, 0.8125),
            Portion("train", CODE, 7, 3, 500, 1000),
            Portion("train", PROSE, 5, 2, 500, 1500),
            Portion("test", WHOLE, 1, 1, 10, 20, 0.1),
        ),
        drops=(Drop("not UTF-8", 2, 99, EVIL),),
        families=(FAMILY,),
        frequencies=Frequencies(np.array([9, 3, 2, 1]), np.array([0, 1, 3, 3]), ("top_1k", "1k_10k", "c", "d")),
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


@pytest.fixture(scope="module")
def gains() -> Gains:
    return Gains("plain", 0.95, {"unit": "token"}, (GAIN,), {"copy": "the rows have no labels of it"}, (EVIL,))


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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("books", "books"),
        ("gs://bucket/corpora/2024/english.parquet", "…/2024/english.parquet"),
        ("x" * 40, "…" + "x" * 25),
    ],
)
def test_of_a_long_name_the_end_is_kept_and_of_a_path_whole_steps(name, shown):
    assert inspection_plots.short(name) == shown


def test_the_distribution_has_a_line_for_every_label_source_and_domain(tmp_path):
    table = distribution((FAMILY,)).set_index(["label", "source", "domain"])
    assert len(table) == 15
    assert table.share["none", "all", "all"] == 0.75 and table.share["open", "all", "code"] == 0.5
    assert table.share["open", "books", "all"] == 0.25
    assert table.groupby(["source", "domain"]).share.sum().tolist() == [1, 1, 1, 1, 1]
    save_distribution((FAMILY,), tmp_path / "distribution.csv")
    assert (tmp_path / "distribution.csv").read_text().splitlines()[:3] == [
        "family,label,source,domain,tokens,share",
        "bracket,none,all,all,750,0.75",
        "bracket,none,books,all,150,0.75",
    ]


def test_one_source_or_one_domain_is_not_a_part_beside_the_whole(text):
    assert text.parts == (BOOKS, SHELF, CODE, PROSE)
    label = Label("none", "", {WHOLE: 1, BOOKS: 1, CODE: 1}, (), ())
    single = Text({}, (), (), (), (), (Family("f", "?", (label,)),), text.frequencies, ())
    assert single.parts == ()


def test_bands_account_for_every_occurrence(text):
    assert text.frequencies.by_band == {
        "top_1k": (1, 9, 9 / 15),
        "1k_10k": (1, 3, 3 / 15),
        "c": (0, 0, 0.0),
        "d": (2, 3, 3 / 15),
    }


def test_the_page_stands_alone_and_escapes_what_users_wrote(text, model, gains, tmp_path):
    inspection_html.write(Inspection(EVIL, text, model, gains), tmp_path / "page.html")
    written = (tmp_path / "page.html").read_text()
    page = Page(written)
    assert page.open == []
    assert [tag for tag, _ in page.tags].count("script") == 1 and "<script>alert" not in written
    assert not re.search(r"https?:|@import|url\(|file:|<link|<iframe", written)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 4 and all(image["alt"] for image in images)  # the curve, gains, a row, a mask
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    names = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"} <= names


def test_the_page_says_what_the_records_say(text, model, gains):
    page = inspection_html.render(Inspection("tiny", text, model, gains))
    for part in ("75.00%", "81.25%", "2.50", "not UTF-8", "4,096", "width: 25.00%;", "1,234,567", "2 × 8", "- tensor"):
        assert part in page, part
    for part in ("public domain", "not stated", "as its documents say", "Rows of train alone have these labels."):
        assert part in page, part
    for part in ("hybrid instead of plain", "+0.0500", "-0.0100 to +0.1100", "the rows have no labels of it"):
        assert part in page, part
    assert "No token: mixed." in page
    assert "left out of the gain: mixed" in page and MEANING in page
    assert page.count("every byte as it was saved") == 1 and "✗ state/d has" in page
    assert page == inspection_html.render(Inspection("tiny", text, model, gains))


def test_a_part_that_was_not_asked_for_is_not_there(text, model):
    only_text = inspection_html.render(Inspection("tiny", text))
    only_model = inspection_html.render(Inspection("tiny", model=model))
    assert 'id="classes"' in only_text and 'id="parameters"' not in only_text and 'id="gains"' not in only_text
    assert 'id="classes"' not in only_model and 'id="parameters"' in only_model


def test_the_curve_marks_every_band_that_has_ids_and_every_quarter_of_the_text(text):
    axis = inspection_plots.curve(text.frequencies).axes[0]
    said = [label.get_text() for label in axis.texts]
    assert said[:3] == ["top 1k\n1 ids, 60.0%", "1k–10k\n1 ids, 20.0%", "d\n2 ids, 20.0%"]
    # of 15 occurrences the first id has 9, and the first two 12
    assert said[3:] == [
        "25% of the text\nup to rank 1",
        "50% of the text\nup to rank 1",
        "75% of the text\nup to rank 2",
    ]
    assert axis.lines[0].get_ydata().tolist() == [9, 3, 2, 1]
    assert axis.get_xscale() == axis.get_yscale() == "log"


def test_bars_of_classes_are_the_shares_of_every_part_side_by_side(text):
    axis = inspection_plots.classes(FAMILY, text.parts).axes[0]
    bars = {(round(bar.get_x(), 9), round(bar.get_width(), 9)) for bar in axis.patches}
    assert bars == {(0, 0.75), (0.75, 0.25), (0, 0.5), (0.5, 0.5), (0, 1.0), (1.0, 0)}
    heights = sorted({round(bar.get_y() + bar.get_height() / 2, 9) for bar in axis.patches})
    assert heights == [0, 1.5, 2.5, 4.0, 5.0], "room between all, sources and domains"
    assert [part.get_text() for part in axis.get_legend().texts] == ["none", "open"], "mixed has no tokens"
    most, other, nothing = inspection_plots.colors(FAMILY)
    assert most == nothing != other
    assert to_hex(axis.patches[0].get_facecolor()) == most


def test_many_labels_have_different_colours():
    labels = tuple(Label(str(n), "", {WHOLE: 1}, (), ()) for n in range(24))
    assert len(set(inspection_plots.colors(Family("many", "?", labels)))) == 24


def test_a_packed_row_is_coloured_by_document(text):
    strip, matrix = (axis.images[0].get_array() for axis in inspection_plots.packed(text.rows[0]).axes)
    assert strip.tolist() == [[1, 1, 2, 0]]
    assert matrix.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [2, 2, 2, 0], [0, 0, 0, 0]]
    together = inspection_plots.rows(text.rows * 3)
    assert [axis.images[0].get_array().tolist() for axis in together.axes[::2]] == [strip.tolist()] * 3


def test_a_picture_is_named_for_all_there_is(text, gains):
    assert list(inspection_plots.pictures(text, gains)) == ["frequencies", "rows", "classes-bracket", "gains"]
    assert list(inspection_plots.pictures(text, None)) == ["frequencies", "rows", "classes-bracket"]
    assert inspection_plots.pictures(None, None) == {}


def test_gains_are_drawn_where_they_are_with_their_intervals(gains):
    axis = inspection_plots.expected(gains).axes[0]
    (points,) = axis.containers
    assert points.lines[0].get_xdata().tolist() == [0.05]
    assert np.allclose(points.lines[2][0].get_segments()[0][:, 0], (-0.01, 0.11))


def test_parts_of_a_gain_in_the_csv_add_up_to_it(gains, tmp_path):
    inspection_gains.save(gains, tmp_path / "gains.csv")
    table = pd.read_csv(tmp_path / "gains.csv").set_index(["model", "family", "label"])
    assert table.gain["hybrid", "bracket", "none"] + table.gain["hybrid", "bracket", "open"] == pytest.approx(
        table.gain["hybrid", "bracket", "all"]
    )
    assert table.low["hybrid", "bracket", "all"] == -0.01 and np.isnan(table.low["hybrid", "bracket", "none"])
    assert table.bits_per_byte["hybrid", "bracket", "all"] == 0.02


def test_a_nat_per_token_of_two_bytes_is_so_many_bits_per_byte():
    assert inspection_gains.bits_per_byte(np.log(2), 2.0) == 0.5


def test_families_without_a_gain_for_one_reason_share_a_line(gains):
    console = Console(width=130, record=True)
    missing = {"copy": "nobody measured it", "word_class": "two kinds", "recall": "nobody measured it"}
    inspection_terminal.show(Inspection("tiny", gains=dataclasses.replace(gains, missing=missing)), console)
    said = [line for line in console.export_text().splitlines() if "no gain by" in line]
    assert said == ["• no gain by copy, recall: nobody measured it", "• no gain by word class: two kinds"]


def test_the_terminal_says_the_same_as_far_as_it_is_wide(text, model, gains):
    wide, narrow = Console(width=130, record=True), Console(width=70, record=True)
    inspection_terminal.show(Inspection("tiny", text, model, gains), wide)
    inspection_terminal.show(Inspection("tiny", text), narrow)
    said = wide.export_text()
    assert re.search(r"train +1,000 +12 +3 +2,500 +2.50 +75.00%", said)
    assert re.search(r"  books +200 +2 +1 +500 +2.50 +50.00%", said)
    assert re.search(r"books +en +public domain", said)
    assert "• exact duplicates: none" in said
    assert re.search(r"top 1k +1 +9 +60.0%", said)
    assert re.search(r"none +750 +75.0% +75.0% +75.0% +50.0% +100.0% +the", said)
    assert re.search(r"bracket +\+0.0500 +-0.0100 to \+0.1100 +\+0.0200 +90.0% +none \+0.0750", said)
    assert "An extrapolation, not a measurement" in said and "no gain by copy" in said
    assert re.search(r"checkpoint 5 +whole", said) and re.search(r"checkpoint 10 +damaged: state/d", said)
    assert re.search(r"layers/ffn/up +2 x 8 +16 +- tensor", said)
    assert re.search(r"none +750 +75.0% +the", narrow.export_text())
