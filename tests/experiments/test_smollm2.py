"""Which documents are scored, and which categories are drawn."""

import json

import pyarrow

from experiments.smollm2 import picture, texts

DOCUMENTS = (
    {"id": "sotu/1999.txt", "group": "a", "split": "test", "text": "one"},
    {"id": "sotu_moby/moby-dick/chapter_1.txt", "group": "b", "split": "test", "text": "twice in the corpus"},
    {"id": "sotu/1998.txt", "group": "c", "split": "train", "text": "trained on"},
)


def test_test_documents_are_scored_but_for_the_book_that_stands_in_training(tmp_path):
    with pyarrow.CompressedOutputStream(str(tmp_path / "prose.jsonl.zst"), "zstd") as file:
        file.write("".join(json.dumps(document) + "\n" for document in DOCUMENTS).encode())
    texts.main([f"--corpus={tmp_path}", f"--output={tmp_path / 'out'}"])
    lines = (tmp_path / "out" / "prose.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["sotu/1999.txt"]


def test_only_categories_of_text_in_groups_enough_are_drawn(tmp_path):
    def row(family, label, groups=30):
        return {
            "family": family,
            "label": label,
            "groups": groups,
            "mean": 1.0,
            "low": 0.9,
            "high": 1.2,
            "accuracy": 0.5,
        }

    rows = [row("copy", "no_text"), row("copy", "0"), row("copy", "8", groups=29), row("domain", "prose")]
    found = picture.chosen(rows)
    assert {title: [one["label"] for one in those] for title, those in found.items()} == {
        "tokens copied before it": ["0"]
    }
    picture.draw(found, str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
