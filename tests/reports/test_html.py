"""The HTML file stands alone, and text from users stays text."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from hybridlm.reports import html, plots
from hybridlm.reports.sample import Sample

EVIL = "</style><script>alert('x')</script>"
METRICS = pd.DataFrame({"step": [1, 2], "loss/ar": [3.0, 2.0], f"nll/ar/bracket/{EVIL}": [2.0, 1.0]})
METRICS["nll/ar/bracket/none"] = [3.0, 2.5]
METRICS["filtered/ar/new_content"] = [3.5, 2.5]


class Page(HTMLParser):
    """Collects tags with their attributes, open tags that were never closed, and text by tag."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def text(scores, tmp_path_factory) -> str:
    rows = tuple(dataclasses.replace(row, label=EVIL) if row.label == "open" else row for row in scores.rows)
    columns = tuple(dataclasses.replace(column, sees=EVIL) for column in scores.columns)
    record = dataclasses.replace(scores, rows=rows, columns=columns, run={**scores.run, EVIL: EVIL})
    sample = Sample(EVIL, ["def", EVIL, "\n"], {"ar": [None, 9.5, 0.1], "masked": [1.0, 2.0, 3.0]})
    path = tmp_path_factory.mktemp("report") / "report.html"
    html.write(record, METRICS, path, masks={EVIL: np.eye(3, dtype=bool)}, samples=[sample])
    return path.read_text()


def test_nothing_is_loaded_from_elsewhere(text):
    page = Page(text)
    assert not re.search(r"https?:|@import|url\(|file:|<link|<iframe", text)
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for tag, attrs in page.tags if tag == "img")
    assert all(attrs["href"].startswith("#") for tag, attrs in page.tags if tag == "a")
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_text_from_users_is_escaped_everywhere(text):
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 1, "only the report's own"
    assert EVIL not in text and "<script>alert" not in text
    assert (
        sum(EVIL in piece for piece in page.text) >= 7
    )  # label, what columns see, the run, title and token of the sample


def test_the_page_is_well_formed_and_its_links_lead_somewhere(text):
    page = Page(text)
    assert page.open == []
    names = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"} <= names


def test_every_figure_is_there_and_described(text):
    described = [attrs["alt"] for tag, attrs in Page(text).tags if tag == "img"]
    assert len(described) == 5 and all(described)  # one family, three of training, one mask
    assert "Loss of the tokens that filters let through, by step" in described
    assert "Training loss of ar for every label, by step" in described


def test_a_reading_has_one_colour_on_the_page(scores, text):
    """In the tables that of the figures: `look` has but one for each name."""
    shown = set(re.findall(r'background: (#\w{6})"></i>([\w ]+)<', text))
    assert shown == {(look["color"], name) for name, look in plots.looks(scores).items()}


def test_of_a_sample_one_reading_is_shown_at_a_time(text):
    """All carry the same text, so a reader sees what changes."""
    page = Page(text)
    radios = [attrs for tag, attrs in page.tags if tag == "input"]
    assert [("checked" in radio) for radio in radios] == [True, False]
    assert len({radio["name"] for radio in radios}) == 1
    assert [attrs["for"] for tag, attrs in page.tags if tag == "label"] == [radio["id"] for radio in radios]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"ar": 0.25, "ar_after": -0.00123456}, "ar 0.25, ar after -0.001235"),
        (["0: cpu", "1: cpu"], "0: cpu, 1: cpu"),
        (1_234_567, "1,234,567"),
        (True, "True"),
    ],
)
def test_facts_are_said_as_a_person_writes_them(scores, value, said):
    page = html.render(dataclasses.replace(scores, run={"fact": value, "nothing": ""}), None, masks={}, samples=())
    assert f"<dt>fact</dt><dd>{said}</dd>" in page and "<dt>nothing" not in page


def test_facts_of_the_run_that_no_name_explains_are_explained(scores):
    page = html.render(dataclasses.replace(scores, run={"request": "ab12", "seed": 3}), None, masks={}, samples=())
    explained = "<small>hash of model, text and how it is read: equal where the values must be</small>"
    assert f"<dt>request{explained}</dt><dd>ab12</dd>" in page
    assert "<dt>seed</dt><dd>3</dd>" in page


def test_tokens_of_the_sample_are_coloured_by_cost(text):
    tokens = [
        attrs for tag, attrs in Page(text).tags if tag == "span" and "title" in attrs and "token" in attrs["class"]
    ]
    assert [(attrs["class"], attrs["title"]) for attrs in tokens[:3]] == [
        ("token level-none", "not scored"),
        ("token level-7", "9.500 nats"),
        ("token level-0", "0.100 nats"),
    ]


def test_the_cell_that_loses_to_the_baseline_is_marked(text):
    losing = [attrs for tag, attrs in Page(text).tags if tag == "td" and "loses" in attrs.get("class", "").split()]
    assert [attrs["data-value"] for attrs in losing] == ["5.5"]


def test_only_the_kinds_that_occur_are_explained(scores):
    page = html.render(scores, None, masks={}, samples=())
    assert "shares move cost between tokens" in page and "Sums are not a likelihood" not in page
    assert 'id="curves"' not in html.render(scores, METRICS[["step"]], masks={}, samples=())
    assert 'id="curves"' not in page and 'id="sample"' not in page and 'id="masks"' not in page
    assert "1,234,567" in page


def test_a_report_is_the_same_every_time(scores):
    first, second = (html.render(scores, METRICS, masks={}, samples=()) for _ in range(2))
    assert first == second


def test_the_page_says_what_predictions_say_besides(text):
    found = " ".join(" ".join(Page(text).text).split())
    assert "What predictions say besides reading entropy accuracy in the top 5 reciprocal rank confidence" in found
    assert "What the predictions of ar say besides" in found and "predictions of masked" not in found
    assert "2.500 2.450 – 2.550" in found, "entropy, with its interval"
    assert "not scored: 1,234 padding" in found


def test_a_class_with_too_little_probability_is_marked(text):
    found = " ".join(" ".join(Page(text).text).split())
    assert "25.0% 15.0% -10.00% ✗ -15.00% – -5.00%" in found
