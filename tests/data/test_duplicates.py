import dataclasses
import json

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig
from hybridlm.data import corpus as corpora
from hybridlm.data.audit import Duplicates
from hybridlm.data.prepare import prepare, prepare_for_evaluation
from hybridlm.data.prepared import open_prepared
from hybridlm.data.progress import silent

GIVEN = [
    ("early", "validation", "stands in training later"),
    ("first", "train", "stands in training twice"),
    ("unique", "train", "stands once"),
    ("late", "train", "stands in training later"),
    ("second", "train", "stands in training twice"),
    ("held", "validation", "is held out twice"),
    ("copy", "test", "is held out twice"),
    ("near", "validation", "is held out twice "),
]
"""(id, split, text); what `drop` leaves out is the first, the second of two in training, the second of two held out."""

COPIES = ["early", "second", "copy"]


@pytest.fixture
def repeating(config, tmp_path):
    """Asks for a corpus of the given documents, and of one that is only ever in `test`."""

    def asked(given=(*GIVEN, ("other", "test", "is in test alone")), **changes):
        path = tmp_path / "repeating.jsonl"
        lines = [json.dumps({"id": name, "split": split, "text": text}) for name, split, text in given]
        path.write_text("\n".join(lines))
        return dataclasses.replace(config, sources=(str(path),), **changes)

    return asked


def names(corpus):
    return [entry.id for entry in corpus.entries]


def test_a_copy_in_training_stays_else_the_first(repeating):
    corpus = corpora.survey_for_training(repeating(), silent)
    assert names(corpus) == ["first", "unique", "late", "held", "near", "other"]
    drop = corpus.account["an exact duplicate"]
    assert (drop.documents, drop.sample, drop.bytes) == (3, "early", sum(len(t) for n, _, t in GIVEN if n in COPIES))
    assert corpus.duplicates == Duplicates(documents=3, held_out=1, sample="early", sample_of="late")


def test_copies_are_kept_on_request_and_still_counted(repeating):
    corpus = corpora.survey_for_training(repeating(audit=AuditConfig(duplicate="keep")), silent)
    assert names(corpus) == [name for name, _, _ in GIVEN] + ["other"] and corpus.account == {}
    assert corpus.duplicates == corpora.survey_for_training(repeating(), silent).duplicates


def test_copies_are_refused_on_request_with_both_names(repeating):
    with pytest.raises(ConfigError) as error:
        corpora.survey_for_training(repeating(audit=AuditConfig(duplicate="fail")), silent)
    assert str(error.value) == (
        "document 'early' (validation) has the same text as 'late' (train), the first of 3 exact duplicates, and "
        "data.audit.duplicate='fail' allows none. Remove the copies, or set data.audit.duplicate='drop' to leave them "
        "out, counted."
    )


def test_without_copies_every_policy_gives_the_same_corpus(config):
    kept, dropped, strict = (
        corpora.survey_for_training(dataclasses.replace(config, audit=AuditConfig(duplicate=policy)), silent)
        for policy in ("keep", "drop", "fail")
    )
    assert kept.entries == dropped.entries == strict.entries and kept.duplicates == Duplicates()


def test_copies_count_across_sources(config, source, tmp_path):
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(source.read_bytes())
    twice = corpora.survey_for_training(dataclasses.replace(config, sources=(str(source), str(copy))), silent)
    once = corpora.survey_for_training(config, silent)
    assert twice.entries == once.entries
    assert twice.account["an exact duplicate"].documents == len(once.entries)


def test_a_document_is_no_copy_of_one_whose_domain_is_not_asked_for(config, tmp_path):
    path = tmp_path / "domains.jsonl"
    given = [("code", "train", "one text"), ("sql", "train", "one text"), ("sql", "validation", "another")]
    lines = [json.dumps({"domain": domain, "split": split, "text": text}) for domain, split, text in given]
    path.write_text("\n".join(lines))
    asked = dataclasses.replace(config, sources=(str(path),), domains=("sql",))
    assert len(corpora.survey_for_training(asked, silent).entries) == 2


def test_a_split_of_nothing_but_copies_is_refused(repeating):
    given = [("a", "train", "one"), ("b", "train", "two"), ("c", "validation", "two")]
    with pytest.raises(ConfigError) as error:
        corpora.survey_for_training(repeating(given), silent)
    assert str(error.value) == (
        "every document of validation has the same text as one of another split, so nothing would be left of it. Hold "
        "out other documents, or set data.audit.duplicate='keep'."
    )


def test_the_manifest_keeps_the_account(repeating, tmp_path, capsys):
    given = [*((f"t{n}", "train", f"number {n}") for n in range(9)), *GIVEN, ("other", "test", "alone")]
    prepare(repeating(given), tmp_path / "data")
    manifest = open_prepared(tmp_path / "data").manifest
    assert manifest.duplicates == Duplicates(documents=3, held_out=1, sample="early", sample_of="late")
    assert manifest.drops["an exact duplicate"].documents == 3
    said = "exact duplicates: 3 (1 held-out copies of training text), for one 'early' of 'late'"
    assert said in capsys.readouterr().err.splitlines()


def test_a_policy_is_one_of_three():
    with pytest.raises(ConfigError) as error:
        AuditConfig(duplicate="skip")
    assert str(error.value) == "data.audit.duplicate='skip' must be one of 'drop', 'keep', 'fail'."


def test_documents_for_evaluation_alone_stay_as_they_are(prepared, tmp_path):
    (tmp_path / "mine.jsonl").write_text("\n".join([json.dumps({"text": "The house"})] * 3))
    source = str(tmp_path / "mine.jsonl")
    mine = prepare_for_evaluation(source, prepared.vocabulary, 32, tmp_path / "data", progress=silent).manifest
    assert mine.splits["evaluation"].documents == 3
    assert (mine.duplicates, mine.overlap, mine.drops) == (Duplicates(), {}, {})
