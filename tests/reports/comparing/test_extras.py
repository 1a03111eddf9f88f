"""Recall, distance and filtered losses on two documents small enough to work out by hand."""

import pytest

from hybridlm.reports import token_writer
from hybridlm.reports.comparing.rows import Settings
from hybridlm.reports.comparing.run import compare
from hybridlm.reports.token_file import Family, Header, Reading

IDS = [1, 2, 3, 4, 5, 9, 1, 2, 3, 4, 5]
"""The last token ends five tokens that were there before: it repeats the fifth."""

DISTANCE = ["no_copy"] * 6 + ["1_32"] * 3 + ["33_128"] * 2
CLASS = ["content", "function"] * 5 + ["content"]
COPY = ["0"] * 6 + ["1", "2", "3", "4", "5"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("recall")
    families = {
        "copy_distance": Family(labels=dict.fromkeys(("no_copy", "1_32", "33_128"), ""), is_ordered=True),
        "word_class": Family(labels=dict.fromkeys(("not_a_word", "content", "function"), "")),
        "copy": Family(labels=dict.fromkeys(("no_text", "0", "1", "2", "3", "4", "5"), ""), is_ordered=True),
    }
    header = Header(readings={"ar": Reading()}, families=families, tokenizer="t", checkpoint="c", code="x")
    size = len(IDS)
    names = [f"d{n}" for n in range(2) for _ in IDS]
    columns = {
        "document": names,
        "group": names,
        "position": [*range(size)] * 2,
        "byte_start": [*range(size)] * 2,
        "byte_end": [*range(1, size + 1)] * 2,
        "token": IDS * 2,
        "label/copy_distance": DISTANCE * 2,
        "label/word_class": CLASS * 2,
        "label/copy": COPY * 2,
    }
    scores = {"keeps": [3.0] * 4 + [4.0, 3.0] + [1.0] * 5, "forgets": [3.0] * 4 + [4.0, 3.0] + [1.0] * 3 + [3.0] * 2}
    for name, score in scores.items():
        texts = {f"d{n}": "abcdefghijk" for n in range(2)}
        token_writer.write(root / f"{name}.parquet", header, columns | {"score/ar": score * 2}, texts)
    paths = [str(root / f"{name}.parquet") for name in scores]
    return compare(paths, "", Settings(draws=50, permutations=19))[0]


def test_recall_is_what_the_repeat_saves(found):
    """The fifth token cost 4 nats; its repetition costs 1 nat under the one reading and 3 under the other."""
    assert {r["reading"]: (r["value"], r["repeats"]) for r in found.recall} == {
        "keeps": (pytest.approx(1 - 1 / 4), 2),
        "forgets": (pytest.approx(1 - 3 / 4), 2),
    }


def test_copies_from_afar_cost_the_forgetful_more(found):
    values = {(r["reading"], r["distance"]): r["value"] for r in found.distance}
    assert values == {
        ("keeps", "1_32"): 0.0,
        ("keeps", "33_128"): 0.0,
        ("forgets", "1_32"): 0.0,
        ("forgets", "33_128"): 2.0,
        ("gap of forgets", "1_32"): 0.0,
        ("gap of forgets", "33_128"): -2.0,
    }


def test_filtered_losses_are_families_of_two(found):
    rows = {(row.family, row.label): row for row in found.rows}
    content_no_copy = [n for n in range(len(IDS)) if CLASS[n] == "content" and COPY[n] == "0"]
    assert rows["content_no_copy", "content_no_copy"].count == 2 * len(content_no_copy)
    assert rows["content_no_copy", "content_no_copy"].mean == pytest.approx(10 / 3), "nats 3, 3, 4"
    assert rows["copy5_only", "copy5_only"].gap == -2.0 and rows["copy5_only", "rest"].count == 20
    assert found.families["copy5_only"]["question"] == "Is it copy>=5?"
