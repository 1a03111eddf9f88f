import builtins
import collections
import dataclasses
import errno
import json
import re

import numpy as np
import pytest
from etils import epath

from hybridlm.categories import lexicon, registry
from hybridlm.categories.compiler import compile_document
from hybridlm.categories.positions import word_band
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError
from hybridlm.data import manifest as manifests
from hybridlm.data import shards, sources
from hybridlm.data.prepare import prepare, prepare_for_evaluation
from hybridlm.data.prepared import open_prepared
from hybridlm.data.progress import silent
from hybridlm.data.vocabulary import load_vocabulary, save_vocabulary


def all_rows(prepared, split):
    rows = prepared.rows(split)
    return rows.read(range(len(rows)))


def texts(prepared, split):
    """Document number -> its text, put together from the pieces in its rows."""
    columns, tokenizer, found = all_rows(prepared, split), prepared.tokenizer, collections.defaultdict(bytes)
    is_used = columns["segment_ids"] > 0
    for document, token in zip(columns["document"][is_used].tolist(), columns["tokens"][is_used].tolist()):
        found[document] += tokenizer.token_bytes[token]
    return {document: text.decode() for document, text in found.items()}


def everything(config):
    return dict(enumerate(sources.read(config.named_sources[0], config.audit)))


def test_rows_hold_every_document_byte_for_byte(prepared, config):
    found = {}
    for split in prepared.manifest.splits:
        part = texts(prepared, split)
        assert not found.keys() & part.keys()
        found |= part
    assert found == {place: document.text for place, document in everything(config).items()}


def test_rows_carry_the_domain_and_group_of_each_document(prepared, config):
    documents, groups = everything(config), {}
    for split in prepared.manifest.splits:
        columns = all_rows(prepared, split)
        is_used = columns["segment_ids"] > 0
        named = (columns[name][is_used].tolist() for name in ("document", "group", "language"))
        for place, group, language in set(zip(*named)):
            assert prepared.manifest.domains[language] == documents[place].domain
            groups.setdefault(documents[place].group, set()).add((group, split))
    assert all(len(found) == 1 for found in groups.values()), "a group has one number and one split"
    assert len({number for ((number, _),) in groups.values()}) == len(groups)


def test_the_manifest_accounts_for_every_token(prepared, config):
    tokenizer, documents = prepared.tokenizer, everything(config)
    for split, record in prepared.manifest.splits.items():
        columns, own = all_rows(prepared, split), texts(prepared, split)
        tokens = columns["tokens"]
        assert tokens.size == record.rows * 32 == sum(record.tokens.values())
        counted = {name: int((tokens == getattr(tokenizer, name)).sum()) for name in ("bos", "eos")}
        assert record.tokens == counted | {
            "padding": int((columns["segment_ids"] == 0).sum()),
            "text": sum(len(ids) for ids in tokenizer.encode_batch(list(own.values()))),
        }
        assert (record.documents, record.groups) == (len(own), len({documents[place].group for place in own}))
        assert record.text_bytes == sum(len(text.encode()) for text in own.values())
        assert record.cut_documents == sum(len(ids) + 2 > 32 for ids in tokenizer.encode_batch(list(own.values())))
    assert prepared.manifest.drops == {}


def test_words_are_labelled_across_the_pieces_of_a_document(prepared):
    words = prepared.vocabulary.lexicon
    train = texts(prepared, "train")
    assert words.ranks == lexicon.rank({"all": lexicon.count(train.values())})
    columns = all_rows(prepared, "train")
    for document, text in list(train.items())[:20]:
        here = (columns["document"] == document) & (columns["segment_ids"] > 0)
        order = np.lexsort(np.nonzero(here)[::-1])
        tokens, bands = columns["tokens"][here][order], columns["word_band"][here][order]
        lengths = prepared.tokenizer.byte_lengths[tokens]
        assert (bands[lengths == 0] == 0).all(), "specials are no words"
        ids, ends = tokens[lengths > 0], np.cumsum(lengths[lengths > 0])
        expected = compile_document((word_band.FAMILY,), text, ids, ends, lexicon=words)["word_band"]
        assert np.array_equal(bands[lengths > 0], expected)


def test_held_out_text_has_every_label_and_training_text_those_asked_for(prepared):
    known = {family.name: family for family in registry.compilable(prepared.vocabulary.lexicon)}
    assert {"copy", "code", "number_kind", "domain_term"} < known.keys()
    assert known.keys() & set(prepared.rows("train").names) == {"word_band"}
    assert known.keys() <= set(prepared.rows("validation").names)
    assert prepared.manifest.labels["copy"]["labels"] == dict(known["copy"].labels)
    columns, tokenizer = all_rows(prepared, "validation"), prepared.tokenizer
    for document, text in texts(prepared, "validation").items():
        here = (columns["document"] == document) & (tokenizer.byte_lengths[columns["tokens"]] > 0)
        order = np.lexsort(np.nonzero(here)[::-1])
        found = {name: columns[name][here][order].tolist() for name in ("tokens", "copy", "number_kind")}
        ids, domain = np.array(found["tokens"]), prepared.manifest.domains[columns["language"][here][0]]
        ends = np.cumsum(tokenizer.byte_lengths[ids])
        expected = compile_document((known["copy"], known["number_kind"]), text, ids, ends, domain)
        assert {name: labels.tolist() for name, labels in expected.items()} == {name: found[name] for name in expected}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("wordband", "which is no family of labels; did you mean 'word_band'?"),
        ("digits", "whose labels come from the vocabulary id and are there for every token; leave it out."),
    ],
)
def test_a_family_that_cannot_be_named_is_refused_before_any_text_is_read(config, tmp_path, name, why):
    with pytest.raises(ConfigError) as refused:
        prepare(dataclasses.replace(config, labels=(name,)), tmp_path / "new" / "data", progress=silent)
    assert str(refused.value).startswith(f"data.labels names {name!r}, {why}")
    assert not (tmp_path / "new").exists()


def test_counts_are_those_of_the_training_rows(prepared):
    columns = all_rows(prepared, "train")
    used = columns["tokens"][columns["segment_ids"] > 0]
    assert np.array_equal(prepared.counts_V, np.bincount(used, minlength=prepared.tokenizer.vocab_size))
    assert prepared.counts_V[prepared.tokenizer.pad] == 0


def test_documents_are_shuffled_before_they_are_packed(prepared):
    order = list(texts(prepared, "train"))
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.3


def test_the_same_config_gives_the_same_fingerprint_and_another_seed_another(prepared, config, tmp_path):
    assert prepare(config, tmp_path / "again", progress=silent).fingerprint == prepared.fingerprint
    assert prepare(config, tmp_path / "other", seed=1, progress=silent).fingerprint != prepared.fingerprint


def test_prepared_rows_are_used_again(prepared, config):
    before = {path: path.stat().mtime for path in prepared.directory.iterdir()}
    moved = dataclasses.replace(config, prepared="elsewhere")
    assert prepare(moved, prepared.directory, progress=silent).fingerprint == prepared.fingerprint
    assert {path: path.stat().mtime for path in prepared.directory.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "seed", "differing"),
    [
        ({"row_length": 64}, 0, "row_length is 32 there and 64 here"),
        ({"vocab_size": 290, "test": 0.05}, 0, "vocab_size is 300 there and 290 here; test is 0.1 there and 0.05 here"),
        ({}, 3, "seed is 0 there and 3 here"),
    ],
)
def test_rows_prepared_differently_are_refused_with_what_differs(prepared, config, changes, seed, differing):
    with pytest.raises(ConfigError) as error:
        prepare(dataclasses.replace(config, **changes), prepared.directory, seed=seed, progress=silent)
    assert str(error.value).startswith(f"{prepared.directory} was prepared from something else: ")
    assert differing in str(error.value)
    assert "Name another directory (data.prepared of a config, --workdir of evaluate and inspect), remove" in str(
        error.value
    )


def test_a_source_that_changed_is_refused_and_one_that_is_gone_is_not(config, source, tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(source.read_bytes())
    own = dataclasses.replace(config, sources=(str(path),))
    fingerprint = prepare(own, tmp_path / "data", progress=silent).fingerprint
    path.write_bytes(source.read_bytes() + b"\n" + json.dumps({"text": "more"}).encode())
    with pytest.raises(ConfigError, match=r"sources\[0\] is '[0-9a-f]{64}' there and '[0-9a-f]{64}' here"):
        prepare(own, tmp_path / "data", progress=silent)
    path.unlink()
    with pytest.warns(UserWarning, match=r"sources\[0\] cannot be found, so .* is used without comparing them"):
        assert prepare(own, tmp_path / "data", progress=silent).fingerprint == fingerprint


def test_a_full_disk_says_where_the_work_stays(config, tmp_path, monkeypatch):
    writer = shards.ArrayRecordWriter
    monkeypatch.setattr(shards, "ArrayRecordWriter", lambda path, options: writer("/dev/full", options))
    with pytest.raises(OSError, match=r"the disk is full, and nothing is in .*data yet") as error:
        prepare(config, tmp_path / "data", progress=silent)
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ["data.partial"]


def test_a_given_tokenizer_is_taken_over(prepared, config, tmp_path):
    prepared.tokenizer.save(tmp_path)
    given = dataclasses.replace(config, tokenizer=str(tmp_path / "tokenizer.json"), vocab_size=999)
    again = prepare(given, tmp_path / "data", progress=silent)
    assert again.tokenizer == prepared.tokenizer and again.fingerprint == prepared.fingerprint
    assert prepare(dataclasses.replace(given, vocab_size=300), tmp_path / "data", progress=silent).tokenizer.bos == 1


def lossy(tokenizer_json, every):
    """The same tokenizer with a normaliser that loses what `every` matches."""
    fields = json.loads(tokenizer_json)
    fields["normalizer"] = {"type": "Replace", "pattern": {"String": every}, "content": "."}
    return json.dumps(fields)


def test_a_document_that_the_tokenizer_changes_is_dropped_and_counted(prepared, config, tmp_path):
    rare = next(d for d in everything(config).values() if list(d.text).count("7") == 1).text[:20]
    count = sum(rare in d.text for d in everything(config).values())
    (tmp_path / "tokenizer.json").write_text(lossy(prepared.tokenizer.content, rare))
    again = prepare(dataclasses.replace(config, tokenizer=str(tmp_path)), tmp_path / "data", progress=silent)
    drop = again.manifest.drops["not given back exactly by the tokenizer"]
    assert drop.documents == count and drop.tokens > 0 and drop.sample.startswith("doc")
    kept = sum(split.documents for split in again.manifest.splits.values())
    assert kept + count == len(everything(config))


def test_a_tokenizer_that_changes_most_documents_is_refused(prepared, config, tmp_path):
    (tmp_path / "tokenizer.json").write_text(lossy(prepared.tokenizer.content, "e"))
    with pytest.raises(ConfigError) as error:
        prepare(dataclasses.replace(config, tokenizer=str(tmp_path)), tmp_path / "data", progress=silent)
    assert re.search(r"of \d+ documents byte for byte \(for one, 'doc", str(error.value))
    assert str(error.value).endswith("or data.tokenizer='train'.")
    assert not (tmp_path / "data").exists()


def test_own_documents_are_rows_in_their_order_in_a_vocabulary_made_before(prepared, tmp_path):
    save_vocabulary(prepared.vocabulary, tmp_path / "checkpoint")
    mine = [
        {"text": f"The house on a hill {n} of 17", "domain": ("law", "prose")[n % 2], "split": "train"}
        for n in range(9)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, mine)))
    vocabulary = load_vocabulary(tmp_path / "checkpoint")
    evaluated = prepare_for_evaluation(
        str(tmp_path / "mine.jsonl"), vocabulary, 16, tmp_path / "evaluation", progress=silent
    )
    assert list(texts(evaluated, "evaluation").values()) == [fields["text"] for fields in mine]
    assert evaluated.manifest.domains == ("code", "prose", "sql", "law")
    assert evaluated.tokenizer == prepared.tokenizer
    assert np.array_equal(evaluated.counts_V, prepared.counts_V)
    columns = all_rows(evaluated, "evaluation")
    unseen = list(word_band.LABELS).index("unseen")
    assert unseen not in columns["word_band"], "the ranks are those of the training split"


def test_a_file_without_documents_cannot_be_evaluated(prepared, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ConfigError, match=r"empty.txt holds no document to evaluate on \(left out: 1 empty\)"):
        prepare_for_evaluation(
            str(tmp_path / "empty.txt"), prepared.vocabulary, 16, tmp_path / "evaluation", progress=silent
        )


def test_an_unprepared_directory_says_how_to_prepare_it(tmp_path):
    with pytest.raises(
        ConfigError, match=r"holds no manifest.json, so it is no prepared data.* run `hybridlm prepare`"
    ):
        open_prepared(tmp_path)


def test_an_unknown_split_names_those_there_are(prepared):
    with pytest.raises(ConfigError, match="has no split 'evaluation'; did you mean 'validation'"):
        prepared.rows("evaluation")


@pytest.fixture
def copied(prepared, tmp_path):
    for path in prepared.directory.iterdir():
        path.copy(tmp_path / path.name)
    return epath.Path(tmp_path)


@pytest.mark.parametrize("name", ["counts.npy", "words.txt.zst", "terms.json.zst", "domains.json", "tokenizer.json"])
def test_a_damaged_small_file_is_named(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(bytes(content))
    with pytest.raises(shards.DamagedData, match=f"{name}: it is missing, or its SHA-256 is not the one recorded"):
        open_prepared(copied)


def test_a_truncated_shard_is_found_on_opening_and_a_flipped_bit_on_verifying(copied):
    path = copied / "validation-00000.array_record"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(shards.DamagedData, match=r"validation-00000.array_record: its SHA-256 is not"):
        open_prepared(copied, verify=True)
    path.write_bytes(bytes(content[:-1]))
    with pytest.raises(shards.DamagedData, match=r"validation-00000.array_record: it has "):
        open_prepared(copied)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda fields: fields | {"row_length": 64}, "was changed after it was written"),
        (lambda fields: fields | {"format": 99}, "has format 99, and this version reads format 2"),
        (lambda fields: {name: fields[name] for name in fields if name != "domains"}, "is damaged"),
    ],
    ids=["changed", "newer", "incomplete"],
)
def test_a_manifest_that_is_not_as_written_is_refused(copied, change, problem):
    path = copied / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ConfigError, match=f"manifest.json {problem}.* the data anew"):
        open_prepared(copied)


def test_a_password_in_a_source_is_refused_before_it_is_read(tmp_path):
    config = DataConfig(sources=("https://me:hunter2@host.example/text.jsonl",))
    with pytest.raises(ConfigError, match=r"a source holds a login \(https://\*\*\*@host.example\): sources"):
        prepare(config, tmp_path / "rows", progress=silent)
    assert not (tmp_path / "rows").exists()


@pytest.mark.parametrize("name", ["../secret.array_record", "/etc/passwd", "deep/shard", ".."])
def test_a_manifest_never_leads_out_of_its_directory(copied, name):
    written = manifests.load(copied)
    portion = written.splits["test"].portions[0]
    shards_there = (dataclasses.replace(portion.shards[0], file=name), *portion.shards[1:])
    portions = (dataclasses.replace(portion, shards=shards_there), *written.splits["test"].portions[1:])
    splits = written.splits | {"test": dataclasses.replace(written.splits["test"], portions=portions)}
    manifests.save(dataclasses.replace(written, splits=splits), copied)
    with pytest.raises(ConfigError, match=r"manifest.json names .*, and the files of prepared rows lie beside"):
        open_prepared(copied)


def test_without_a_terminal_every_phase_and_finding_is_one_plain_line(prepared, config, tmp_path, capsys):
    prepare(config, tmp_path / "data")
    assert capsys.readouterr().err.splitlines() == [
        "reading the sources ...",
        "exact duplicates: none",
        "comparing held-out lines ...",
        *(f"{split}: {held.line}" for split, held in prepared.manifest.overlap.items()),
        "training the tokenizer ...",
        "counting words ...",
        "encoding ...",
        "encoding and labelling held-out text ...",
        "writing train ...",
        "writing test ...",
        "writing validation ...",
    ]


def test_on_a_terminal_every_phase_is_a_bar(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    prepare(config, tmp_path / "data")
    shown = capsys.readouterr().err
    assert "training the tokenizer" in shown and "━━━" in shown and "100%" in shown


def test_nothing_on_the_way_imports_tensorflow(config, tmp_path, monkeypatch):
    imported, plain = set(), builtins.__import__

    def recorded(name, *arguments, **options):
        imported.add(name.partition(".")[0])
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", recorded)
    prepared = prepare(config, tmp_path / "data", progress=silent)
    assert len(all_rows(prepared, "validation")["tokens"]) > 0
    assert imported and not {"tensorflow", "seqio"} & imported
