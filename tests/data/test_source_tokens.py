"""Shards of ids that other programs wrote, read as they are."""

import dataclasses
import json

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import source_tokens, sources, tokenizer_json
from hybridlm.data.documents import Dropped
from hybridlm.data.prepare import prepare, prepare_for_evaluation
from hybridlm.data.progress import silent

END = 300
TEXTS = ["The cat's house", "naïve 漢字", "on a hill\n", "17 of 17"]


@pytest.fixture
def coder(prepared):
    return prepared.tokenizer


def ids_of(coder, texts, end=(END,)):
    return np.concatenate([[*ids, *end] for ids in coder.encode_batch(texts)])


def described(directory, coder, splits, **more):
    directory.mkdir(exist_ok=True)
    coder.save(directory)
    fields = {"tokenizer": "tokenizer.json", "splits": splits, "end_of_document": END} | more
    (directory / "tokens.json").write_text(json.dumps(fields))
    return directory


def read(directory, **audit):
    return list(sources.read(Source(path=str(directory)), AuditConfig(**audit)))


@pytest.fixture
def by_kind(tmp_path, coder):
    """The same four documents as a flat .bin, a .npy of rows, and records."""
    flat = ids_of(coder, TEXTS)
    made = described(tmp_path / "bin", coder, {"train": ["*.bin"]}, header_bytes=8)
    (made / "a.bin").write_bytes(b"8 bytes!" + flat.astype("<u2").tobytes())
    rows = described(tmp_path / "npy", coder, {"train": ["a.npy"]})
    np.save(rows / "a.npy", flat.astype(np.int64))
    records = described(tmp_path / "records", coder, {"train": ["*.array_record"]}, dtype="int32", end_of_document=None)
    writer = ArrayRecordWriter(str(records / "a.array_record"), "group_size:1")
    for ids in coder.encode_batch(TEXTS):
        writer.write(ids.astype("<i4").tobytes())
    writer.close()
    return {"bin": made, "npy": rows, "records": records}


@pytest.mark.parametrize("kind", ["bin", "npy", "records"])
def test_documents_are_the_texts_and_ids_that_were_written(by_kind, coder, kind):
    found = read(by_kind[kind])
    assert [document.text for document in found] == TEXTS
    assert [document.ids.tolist() for document in found] == [ids.tolist() for ids in coder.encode_batch(TEXTS)]
    assert {(document.split, document.domain) for document in found} == {("train", kind)}


def test_rows_of_a_table_are_documents(tmp_path, coder):
    made = described(tmp_path / "npy", coder, {"": ["*.npy"]}, end_of_document=None)
    rows = [ids[:2] for ids in coder.encode_batch(TEXTS)]
    np.save(made / "rows.npy", np.array(rows, np.uint16))
    assert [document.ids.tolist() for document in read(made)] == [ids.tolist() for ids in rows]
    assert [document.id for document in read(made)] == [f"rows.npy:{n}" for n in range(4)]


def test_ids_are_used_even_where_the_tokenizer_would_have_cut_the_text_otherwise(tmp_path, coder):
    """One id per byte is no encoding the tokenizer makes, and it is what stands in the rows."""
    id_of = {piece: number for number, piece in enumerate(coder.token_bytes) if len(piece) == 1}
    made = described(tmp_path / "bytes", coder, {"train": ["t.bin"], "validation": ["v.bin"]})
    for name in "tv":
        own = [[*(id_of[bytes([byte])] for byte in f"{name} the house {n}".encode()), END] for n in range(40)]
        np.concatenate(own).astype("<u2").tofile(made / f"{name}.bin")
    config = DataConfig(sources=(str(made),), tokenizer="source", row_length=32)
    found = prepare(config, tmp_path / "data", progress=silent)
    columns = found.rows("train").read(range(len(found.rows("train"))))
    is_text = (columns["segment_ids"] > 0) & (columns["positions"] > 0) & (columns["tokens"] != coder.eos)
    assert set(columns["tokens"][is_text].tolist()) == {id_of[bytes([b])] for b in b"t the house 0123456789"}
    assert found.tokenizer == coder and found.manifest.splits["train"].documents == 40


@pytest.mark.parametrize("bad", [301, 65_000, "pad"])
def test_ids_that_mean_nothing_stop_or_are_dropped_by_name(tmp_path, coder, bad):
    made = described(tmp_path / "bin", coder, {"train": ["a.bin"]})
    wrong = coder.pad if bad == "pad" else bad
    np.array([*coder.encode_batch(["fine"])[0], END, 70, wrong, END], "<u2").tofile(made / "a.bin")
    with pytest.raises(ConfigError) as error:
        read(made)
    assert str(error.value) == (
        "a.bin:1: holds ids outside the vocabulary, and data.audit.unknown_ids='fail' allows no such document. Take "
        "the tokenizer that wrote the ids, or repair the file, or set data.audit.unknown_ids='drop' to count it and go "
        "on."
    )
    assert read(made, unknown_ids="drop")[1] == Dropped("a.bin:1", "holds ids outside the vocabulary", 2)


def test_a_document_cut_inside_a_character_is_dropped_by_name(tmp_path, coder):
    made = described(tmp_path / "bin", coder, {"train": ["a.bin"]})
    id_of = {piece: number for number, piece in enumerate(coder.token_bytes) if len(piece) == 1}
    np.array([id_of["漢".encode()[:1]], END], "<u2").tofile(made / "a.bin")
    assert read(made) == [Dropped("a.bin:0", "not UTF-8", 1)]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"dtyp": "uint16"}, r"tokens.json has a field 'dtyp', which means nothing; did you mean 'dtype'\?"),
        ({"splits": {"dev": ["a.bin"]}}, "split 'dev' is none of train, validation, test; rename it"),
        (
            {"splits": {"train": ["b*.bin"]}},
            "names 'b[*].bin' for train, and there is no such file in .*holds a.bin, t",
        ),
        ({"dtype": "uint9"}, "tokens.json cannot be understood .*uint9"),
        (
            {"header_bytes": 3},
            "a.bin has 5 bytes after a header of 3, no multiple of the 2 of one uint16: the file is cut",
        ),
        ({"tokenizer": "gone.json"}, "gone.json"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, coder, fields, problem):
    made = described(tmp_path / "bin", coder, **{"splits": {"train": ["a.bin"]}} | fields)
    np.arange(4, dtype="<u2").tofile(made / "a.bin")
    with pytest.raises(ConfigError, match=problem):
        read(made)


def test_tokens_need_the_tokenizer_that_wrote_them(by_kind, tmp_path):
    with pytest.raises(
        ConfigError, match=r"came as tokens, and data.tokenizer='train' is not .* Set data.tokenizer='so"
    ):
        prepare(DataConfig(sources=(str(by_kind["bin"]),)), tmp_path / "data", progress=silent)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ConfigError, match="data.tokenizer='source', but no source came as tokens"):
        prepare(DataConfig(sources=(str(tmp_path / "a.txt"),), tokenizer="source"), tmp_path / "data", progress=silent)


def test_tokens_are_evaluated_in_the_vocabulary_that_wrote_them_alone(by_kind, prepared, tmp_path):
    rows = prepare_for_evaluation(str(by_kind["npy"]), prepared.vocabulary, 32, tmp_path / "rows", progress=silent)
    assert rows.manifest.splits["evaluation"].documents == len(TEXTS)
    other = dataclasses.replace(prepared.vocabulary, tokenizer=tokenizer_json.train(TEXTS, 280))
    with pytest.raises(ConfigError, match="npy came as tokens of another tokenizer than the model's"):
        prepare_for_evaluation(str(by_kind["npy"]), other, 32, tmp_path / "other", progress=silent)


def test_a_cut_record_file_is_an_error_that_names_it(by_kind):
    path = by_kind["records"] / "a.array_record"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(OSError, match="a.array_record cannot be read to its end"):
        read(by_kind["records"])


def test_documents_longer_than_a_search_are_whole(by_kind, monkeypatch):
    monkeypatch.setattr(source_tokens, "TOKENS_PER_SEARCH", 5)
    assert [document.text for document in read(by_kind["bin"])] == TEXTS
