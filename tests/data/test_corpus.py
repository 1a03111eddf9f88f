import dataclasses
import json
import pathlib

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.data import corpus as corpora
from hybridlm.data.progress import silent


def groups_of(corpus, split):
    return {entry.group for entry in corpus.entries if entry.split == split}


def test_no_group_stands_in_two_splits(config):
    corpus = corpora.survey_for_training(config, silent)
    train, validation, test = (groups_of(corpus, split) for split in ("train", "validation", "test"))
    assert train and validation and test
    assert not (train & validation or train & test or validation & test)


def test_a_group_given_to_two_splits_is_refused(tmp_path, config):
    path = tmp_path / "leak.jsonl"
    given = [
        {"text": "a", "group": "g", "split": "train"},
        {"text": "b", "group": "g", "split": "test", "id": "two"},
    ]
    path.write_text("\n".join(map(json.dumps, given)))
    with pytest.raises(ConfigError, match=r"group 'g' has documents in train and in test \(document 'two'\)"):
        corpora.survey_for_training(dataclasses.replace(config, sources=(str(path),)), silent)


def test_sources_without_a_document_say_what_became_of_it(tmp_path, config):
    path = tmp_path / "picture.txt"
    path.write_bytes(b"\x89PNG\xff")
    with pytest.raises(ConfigError) as refused:
        corpora.survey_for_training(dataclasses.replace(config, sources=(str(path),)), silent)
    assert str(refused.value) == (
        f"data.sources={path} hold no document to train on (left out: 1 not UTF-8); name text, or lift what data.audit "
        "leaves out."
    )


def test_a_split_given_by_the_source_is_honoured(tmp_path, config):
    path = tmp_path / "given.jsonl"
    given = [{"text": f"text {n}", "split": ("train", "validation")[n % 2]} for n in range(8)]
    path.write_text("\n".join(map(json.dumps, given)))
    corpus = corpora.survey_for_training(dataclasses.replace(config, sources=(str(path),)), silent)
    assert [entry.split for entry in corpus.entries] == ["train", "validation"] * 4


def test_the_limit_holds_per_domain_of_training_text_and_is_accounted_for(config):
    whole = corpora.survey_for_training(config, silent)
    limited = corpora.survey_for_training(dataclasses.replace(config, limit_bytes=1_000), silent)
    for domain in whole.domains:
        sizes = [entry.bytes for entry in limited.entries if entry.domain == domain and entry.split == "train"]
        assert 700 < sum(sizes) <= 1_000
    for split in ("validation", "test"):
        assert limited.bytes(split) == whole.bytes(split)
    assert limited.account["beyond data.limit_bytes"].bytes == whole.bytes() - limited.bytes()


def test_domains_left_out_are_accounted_for(config):
    corpus = corpora.survey_for_training(dataclasses.replace(config, domains=("sql",)), silent)
    assert corpus.domains == ("sql",)
    assert corpus.account["not one of data.domains"].documents == 80


def test_an_unknown_domain_gets_the_nearest_name(config):
    with pytest.raises(ConfigError, match=r"data.domains names 'pose', which no document has; did you mean 'prose'"):
        corpora.survey_for_training(dataclasses.replace(config, domains=("pose",)), silent)


@pytest.mark.parametrize("change", ["shortened", "reordered", "reworded"])
def test_sources_that_change_between_passes_are_noticed(tmp_path, config, source, change):
    path = tmp_path / "changing.jsonl"
    lines = pathlib.Path(source).read_text().splitlines()
    path.write_text("\n".join(lines))
    corpus = corpora.survey_for_training(dataclasses.replace(config, sources=(str(path),)), silent)
    changes = {"shortened": lines[:-3], "reordered": lines[::-1], "reworded": [*lines[:-1], lines[-1][:-2] + '!"}']}
    path.write_text("\n".join(changes[change]))
    with pytest.raises(ConfigError, match="the sources changed while they were read: document 'doc"):
        list(corpus.documents(corpus.entries))


def test_documents_of_a_split_are_those_of_its_entries(config):
    corpus = corpora.survey_for_training(config, silent)
    for split in ("train", "validation"):
        pairs = list(corpus.documents(corpus.within(split)))
        assert [entry for entry, _ in pairs] == [entry for entry in corpus.entries if entry.split == split]
        assert all(entry.id == document.id and entry.bytes == document.bytes for entry, document in pairs)
