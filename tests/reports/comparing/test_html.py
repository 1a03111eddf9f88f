"""The page of a comparison stands alone, says what the JSON says, and lets no text out of its place."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from hybridlm.reports import comparison
from hybridlm.reports.comparing import html as comparison_html
from hybridlm.reports.comparing.html import render, step
from hybridlm.reports.comparing.passages import Token, passages

EVIL = "</style></script><script>alert('x')</script>"


class Page(HTMLParser):
    """Tags with attributes, cells of each table row, tags left open, and scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.rows, self.scripts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append([dict(attrs).get("data-value"), ""])
        if tag == "script":
            self.scripts.append("")
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.rows and self.rows[-1] and {"td", "th"} & set(self.open):
            self.rows[-1][-1][1] += data


@pytest.fixture(scope="module")
def text(compared):
    return render(compared[0], passages(compared[1]))


@pytest.fixture(scope="module")
def evil(compared):
    """The same page, with names and text that would break out of it."""
    found, aligned = compared
    rows = tuple(dataclasses.replace(row, note=EVIL) for row in found.rows)
    models = tuple(dataclasses.replace(entry, sees=EVIL, checkpoint=EVIL) for entry in found.readings)
    shown = [
        dataclasses.replace(p, document=EVIL, group=EVIL, tokens=(Token(EVIL, EVIL), *p.tokens[1:]))
        for p in passages(aligned)
    ]
    return render(dataclasses.replace(found, rows=rows, readings=models, notes=(EVIL,), methods=EVIL), shown)


def test_nothing_is_loaded_from_elsewhere(text):
    page = Page(text)
    assert not re.search(r"@import|url\(|<link|<iframe|file:", text)
    assert not [attrs for _, attrs in page.tags if re.match("https?:", attrs.get("src", "") + attrs.get("href", ""))]
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for tag, attrs in page.tags if tag == "img")
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_the_page_is_well_formed_and_its_links_lead_somewhere(text):
    page = Page(text)
    assert page.open == []
    names = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"} <= names


def test_its_numbers_are_those_of_the_json(text, compared):
    record = json.loads(comparison.dumps(compared[0]))
    shown = {tuple(cell[0] for cell in row if cell[0] is not None) for row in Page(text).rows}
    told = [cells for cells in shown if len(cells) >= 8]
    for row in record["rows"]:
        if row["family"] == "all":
            continue
        names = ("gap", "p_all", "count", "baseline", "mean", "share", "detectable")
        numbers = {float(f"{row[name]:.10g}") for name in names}
        assert any(numbers <= {float(cell) for cell in cells if cell} for cells in told), row["label"]


def test_its_script_reads_the_numbers_of_every_token(text, compared):
    page = Page(text)
    data = json.loads(page.scripts[0])
    shown = passages(compared[1])
    assert len(data["passages"]) == len(shown) == sum(attrs.get("class") == "passage" for _, attrs in page.tags)
    for numbers, passage in zip(data["passages"], shown):
        assert np.allclose(numbers["cost"]["model"], passage.cost["model"], atol=1e-4)
        assert numbers["label"]["kind"] == passage.label["kind"].tolist()
    tokens = [attrs["class"] for tag, attrs in page.tags if tag == "i" and attrs.get("class") in COLOURS]
    assert len(tokens) == sum(len(passage.tokens) for passage in shown)
    costs = [numbers["cost"] for numbers in data["passages"]]
    assert tokens == [step(a - b) for cost in costs for a, b in zip(cost["base"], cost["model"])]


COLOURS = {"even", *(f"{side}{n}" for side in ("gain", "loss") for n in range(1, 5))}


def test_a_family_of_one_label_is_left_out_and_named(compared):
    """Of its line of all tokens; legend and methods still count all gaps."""
    found, read = compared
    whole = [row for row in found.rows if row.label not in ("word", "digit")]
    page = render(dataclasses.replace(found, rows=tuple(whole)), passages(read))
    assert "<h3>kind</h3>" not in page and "<h3>domain</h3>" in page
    assert "Not shown, as one label has all tokens: kind. comparison.csv has them." in page
    assert "for all 4 gaps (all, kind and domain) at once" in page
    full = render(found, passages(read))
    assert "<h3>kind</h3>" in full and "Not shown, as one label" not in full


def test_colours_change_at_the_stated_nats():
    assert [step(gap) for gap in (0.0, 0.05, 0.1, -0.3, 1.9, -7.0)] == [
        "even",
        "even",
        "gain1",
        "loss2",
        "gain3",
        "loss4",
    ]


def test_text_from_users_is_escaped_everywhere(evil):
    page = Page(evil)
    assert [tag for tag, _ in page.tags].count("script") == 3, "only the page's own"
    assert EVIL not in evil and "<script>alert" not in evil
    json.loads(page.scripts[0])


def test_a_page_that_is_too_large_shows_fewer_passages(compared, monkeypatch):
    found, aligned = compared
    shown = passages(aligned)
    whole = render(found, shown)
    monkeypatch.setattr(comparison_html, "LIMIT", len(whole.encode()) - 1)
    small = render(found, shown)
    assert len(small.encode()) < len(whole.encode()) and f"{len(shown) // 2} passages of up to" in small


def test_the_same_comparison_gives_the_same_page(text, compared):
    assert render(compared[0], passages(compared[1])) == text


def test_a_gap_beyond_the_drawn_scale_is_an_arrow_and_no_dot(text, compared):
    """A category of one group does not stretch the scale; a dot at its edge would be read as a small gap."""
    found, aligned = compared
    far = next(i for i, row in enumerate(found.rows) if row.label == "digit")
    rows = list(found.rows)
    rows[far] = dataclasses.replace(rows[far], gap=100.0, band_low=None, band_high=None, clusters=1)
    page = render(dataclasses.replace(found, rows=tuple(rows)), passages(aligned))
    assert page.count("<circle") == text.count("<circle") - 1
    assert page.count('class="leaves" d="M200') == text.count('class="leaves" d="M200') + 1
    assert "1 group<" in page and "1 groups" not in page


def test_a_loss_is_told_with_the_interval_of_the_loss(compared):
    found, aligned = compared
    total = next(row for row in found.rows if row.family == "all")
    lost = dataclasses.replace(total, gap=-0.22, band_low=-0.26, band_high=-0.18)
    page = render(
        dataclasses.replace(found, rows=tuple(lost if row is total else row for row in found.rows)), passages(aligned)
    )
    assert "loses <b>0.2200</b>" in page and "(0.1800 to 0.2600)" in page


@pytest.mark.parametrize("verdict", ["undecided", "equivalent"])
def test_the_headline_claims_no_direction_that_was_not_shown(compared, verdict):
    found, aligned = compared
    total = next(row for row in found.rows if row.family == "all")
    open_ = dataclasses.replace(total, gap=0.004, band_low=-0.006, band_high=0.009, verdict=verdict)
    page = render(
        dataclasses.replace(found, rows=tuple(open_ if row is total else row for row in found.rows)), passages(aligned)
    )
    (headline,) = re.findall(r'<p class="headline">.*', page)
    told = " ".join(re.sub("<[^>]*>", "", headline).split())
    assert told == f"model gap +0.0040 nats per token (−0.0060 to +0.0090): {verdict}"


def test_what_is_undecided_says_why_and_what_to_do(compared):
    found, aligned = compared
    word = next(row for row in found.rows if row.label == "word")
    unknown = dataclasses.replace(word, verdict="undecided", why="few groups", clusters=4, band_low=None, p_all=0.125)
    unknown = dataclasses.replace(unknown, is_p_least=True)
    page = render(
        dataclasses.replace(found, rows=tuple(unknown if row is word else row for row in found.rows)), passages(aligned)
    )
    assert '<span class="verdict undecided">undecided</span><small>few groups</small>' in page
    assert "score text of more split groups" in page and ">≤0.125</td>" in page
    assert f'<b class="undecided few">{word.gap:+.4f}</b>' in page and "b.few { font-weight: 400; }" in page
