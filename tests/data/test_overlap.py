import contextlib
import dataclasses
import json
import random

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig
from hybridlm.data import overlap
from hybridlm.data.audit import Overlap
from hybridlm.data.corpus import survey_for_training
from hybridlm.data.prepare import prepare
from hybridlm.data.prepared import open_prepared
from hybridlm.data.progress import show, silent

POOL = [f"line {n} " + "abcdefgh" * (3 + n % 4) for n in range(60)]
"""Lines of 31 to 56 characters, so that some are too short to be compared."""


def of(config, path, texts):
    """The config on documents of (split, text)."""
    path.write_text("\n".join(json.dumps({"split": split, "text": text}) for split, text in texts))
    return dataclasses.replace(config, sources=(str(path),))


def audited(config):
    return overlap.audited(survey_for_training(config, silent), silent)


def drawn(dice, split):
    """A text of which two lines in three are of its split alone, indented or not."""
    lines = (
        dice.choice(POOL) + dice.choice(["", f" {split}", f" only in {split}"]) for _ in range(dice.randint(9, 30))
    )
    return "\n".join(dice.choice(["", "  ", "\t"]) + line + dice.choice(["", " ", "\r"]) for line in lines)


def oracle(texts, split):
    """The same by comparing the lines themselves."""

    def lines(of):
        stripped = [line.strip() for name, text in texts if name == of for line in text.split("\n")]
        return [line for line in stripped if len(line) >= 40]

    training = lines("train")
    own = lines(split)
    return len(own), sum(line in training for line in own)


@pytest.mark.filterwarnings("ignore:.*lines of 40 characters or more")
@pytest.mark.parametrize("seed", range(3))
def test_overlap_is_that_of_the_lines_themselves(config, tmp_path, seed):
    dice = random.Random(seed)
    splits = ["train"] * 12 + ["validation"] * 6 + ["test"] * 4
    dice.shuffle(splits)
    texts = [(split, f"document {n}\n{drawn(dice, split)}") for n, split in enumerate(splits)]
    found = audited(of(config, tmp_path / "text.jsonl", texts)).overlap
    for split in ("validation", "test"):
        lines, seen = oracle(texts, split)
        assert 0 < seen < lines
        assert (found[split].lines, found[split].seen, found[split].share) == (lines, seen, seen / lines)


def test_lines_are_long_from_forty_characters_on_and_repeats_count(config, tmp_path):
    shared, short = "a" * 40, "b" * 39
    held_out = "\n".join([shared, f"  {shared}  ", f" {short}   ", *(str(n) * 40 for n in range(8))])
    texts = [("train", f"{shared}\n{short}\n"), ("validation", held_out), ("validation", "short")]
    found = audited(of(config, tmp_path / "text.jsonl", texts)).overlap
    assert found == {"validation": Overlap(lines=10, seen=2, share=0.2)}


def test_without_long_lines_there_is_no_overlap(config, tmp_path):
    texts = [("train", "one"), ("validation", "two")]
    found = audited(of(config, tmp_path / "text.jsonl", texts)).overlap
    assert found == {"validation": Overlap(lines=0, seen=0, share=0.0)}


def test_much_overlap_is_said_once_as_a_warning_and_recorded(config, tmp_path, capsys):
    line = "def a_function_that_both_splits_have(argument):"
    given = [("train", f"{line}\n    return {n}") for n in range(9)]
    asked = of(config, tmp_path / "text.jsonl", [*given, ("validation", f"{line}\n    pass")])
    with pytest.warns(UserWarning) as caught:
        prepare(asked, tmp_path / "data")
    said = (
        "validation: 1 of 1 lines of 40 characters or more (100.0%) stand in training, and most of 1 documents, for "
        "one 'text.jsonl:10'"
    )
    assert str(caught[0].message) == (
        f"{said}, more than 20%: scores on validation will partly show memory. Put documents that share text into one "
        "'group', or remove what they share."
    )
    assert said not in capsys.readouterr().err
    found = open_prepared(tmp_path / "data").manifest.overlap
    assert found == {"validation": Overlap(lines=1, seen=1, share=1.0, documents=1, sample="text.jsonl:10")}


SHARED, OWN = "a line that stands in the training text, too", "a line that stands in the held-out text alone"
HALVES = [
    ("train", f"{SHARED}\n{SHARED} once more"),
    ("validation", f"{SHARED}\n{OWN}"),
    ("validation", f"{SHARED}\n{SHARED} once more\n{OWN}"),
]


@pytest.mark.filterwarnings("ignore:.*lines of 40 characters or more")
def test_held_out_documents_that_are_mostly_training_lines_go_on_request(config, tmp_path):
    asked = of(config, tmp_path / "text.jsonl", HALVES)
    kept = audited(asked)
    assert kept.overlap == {"validation": Overlap(5, 3, 0.6, documents=1, sample="text.jsonl:3")}
    assert len(kept.entries) == 3
    dropped = audited(dataclasses.replace(asked, audit=AuditConfig(seen="drop")))
    assert [entry.id for entry in dropped.entries] == ["text.jsonl:1", "text.jsonl:2"]
    assert dropped.overlap == {"validation": Overlap(2, 1, 0.5)}
    assert dropped.account["held out, but mostly lines of training"].sample == "text.jsonl:3"


def test_held_out_documents_that_are_mostly_training_lines_are_refused_on_request(config, tmp_path):
    asked = dataclasses.replace(of(config, tmp_path / "text.jsonl", HALVES), audit=AuditConfig(seen="fail"))
    with pytest.raises(ConfigError) as error:
        audited(asked)
    assert str(error.value) == (
        "document 'text.jsonl:3' is held out, and more than half of its longer lines stand in training, as of 1 "
        "held-out documents, and data.audit.seen='fail' allows none. Put documents that share text into one 'group', "
        "or set data.audit.seen='drop' to leave these out, counted."
    )


def test_a_split_of_nothing_but_training_lines_is_refused(config, tmp_path):
    asked = dataclasses.replace(of(config, tmp_path / "t.jsonl", HALVES[::2]), audit=AuditConfig(seen="drop"))
    with pytest.raises(
        ConfigError, match="every document of validation is mostly made of lines that stand in training"
    ):
        audited(asked)


def test_progress_passes_over_all_text_once(config):
    corpus, amounts = survey_for_training(config, silent), []

    @contextlib.contextmanager
    def counting(title, total):
        amounts.append([total])
        yield amounts[-1].append

    overlap.audited(corpus, counting)
    total, *done = amounts[0]
    assert total == sum(done) == corpus.bytes()


def test_a_remark_is_its_line_alone_even_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with show("found nothing", 0):
        pass
    assert capsys.readouterr().err == "found nothing\n"
