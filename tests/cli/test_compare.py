"""`hybridlm compare` from flags to files, and what it says to mistakes."""

import json

import pytest

from hybridlm.cli import main as command
from hybridlm.reports import token_writer
from hybridlm.reports.token_file import Family, Header, Reading

FILES = {
    *("comparison.html", "comparison.json", "comparison.csv", "comparison.tex", "methods.txt", "plots"),
}


@pytest.fixture
def files(tmp_path):
    """Two files of four documents of three tokens."""
    header = Header(
        readings={"ar": Reading()},
        families={
            "kind": Family(labels={"word": "letters", "mark": "the rest"}),
            "capitals": Family(labels={"none": "no capital"}),
        },
        tokenizer="t",
        checkpoint="c",
        code="x",
    )
    names = [f"d{n}" for n in range(4) for _ in range(3)]
    columns = {
        "document": names,
        "group": names,
        "position": [0, 1, 2] * 4,
        "byte_start": [0, 2, 5] * 4,
        "byte_end": [2, 5, 6] * 4,
        "label/kind": ["word", "word", "mark"] * 4,
        "label/capitals": ["none"] * 12,
    }
    for name, gain in (("a", 0.0), ("b", 0.5)):
        score = [2.0 + n / 7 - gain * (place < 2) for n, place in enumerate(columns["position"])]
        texts = {f"d{n}": "it was" for n in range(4)}
        token_writer.write(tmp_path / name / "tokens.parquet", header, columns | {"score/ar": score}, texts)
    return tmp_path


def test_two_files_give_a_report(files, capsys):
    arguments = ["compare", str(files / "a"), str(files / "b"), f"--output={files / 'out'}", "--margin=0.2"]
    assert command.main(arguments) == 0
    out, err = capsys.readouterr()
    assert {file.name for file in (files / "out").iterdir()} == FILES
    assert "comparison.html" in out and "reading a (0%)" in err and "done (100%)" in err
    record = json.loads((files / "out" / "comparison.json").read_text())
    assert record["settings"]["margin"] == 0.2
    assert [(row["label"], round(row["gap"], 6)) for row in record["rows"]] == [
        ("all", 0.333333),
        ("word", 0.5),
        ("mark", 0.0),
        ("none", 0.333333),
    ]
    assert "not printed, but in the files of the report: capitals. --all prints them too." in out
    assert (files / "out" / "methods.txt").read_text().startswith("b was compared with a on the same 12 tokens")


def test_a_second_run_gives_the_same_bytes_whatever_is_printed(files, capsys):
    read = []
    for more in ([], ["--all"]):
        assert command.main(["compare", str(files / "a"), str(files / "b"), f"--output={files / 'out'}", *more]) == 0
        read.append([(files / "out" / name).read_bytes() for name in ("comparison.json", "comparison.csv")])
        assert ("\ncapitals" in capsys.readouterr().out) == bool(more)
    assert read[0] == read[1]


def test_mistakes_are_refused_in_a_sentence(files, capsys):
    a, out = str(files / "a"), f"--output={files / 'out'}"
    assert command.main(["compare", a, out]) == 64
    assert capsys.readouterr().err == (
        "hybridlm: a comparison needs at least two token files; give a baseline and a model.\n"
    )
    assert command.main(["compare", a + "@ar", a + "@ar", out]) == 64
    assert "are the same reading, ar, of the same file: their gap is zero on every token." in capsys.readouterr().err
    assert command.main(["compare", a, str(files / "c"), out]) == 64
    assert "there is no token file" in capsys.readouterr().err
    assert command.main(["compare", a, a + "@ar", out, "--config.data.row_length=64"]) == 64
    assert capsys.readouterr().err.endswith("--config.data.row_length has no effect here: compare reads no config.\n")
    assert command.main(["compare", a, a + "@ar", out, "--margn=1"]) == 64
    assert "did you mean '--margin'?" in capsys.readouterr().err
    assert not (files / "out").exists()
