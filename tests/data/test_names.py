"""Numbers in rows have the names that their documents and folders had, and a damaged file is named."""

import pytest
from etils import epath

from hybridlm.data import manifest, names
from hybridlm.data.damage import DamagedData
from hybridlm.data.documents import Entry
from hybridlm.data.prepare import prepare_for_evaluation
from hybridlm.data.progress import silent


def entry(place, name, group):
    return Entry(place, 0, name, group, "prose", "test", 1, b"")


ENTRIES = [entry(3, "django/core/a.py", "core"), entry(4, "README", "core"), entry(7, "README", "docs")]
GROUPS = {"other": 0, "docs": 1, "core": 2}


def test_documents_that_share_an_id_are_told_apart_by_their_place():
    found = names.of(ENTRIES, GROUPS)
    assert found.documents == {3: "django/core/a.py", 4: "README #4", 7: "README #7"}
    assert found.groups == {2: "core", 1: "docs"}


def test_a_number_without_a_name_is_its_own():
    found = names.of(ENTRIES, GROUPS)
    assert (found.document(3), found.document(5), found.group(0)) == ("django/core/a.py", "5", "0")


def test_names_come_back_as_they_were_saved(tmp_path):
    found, directory = names.of(ENTRIES, GROUPS), epath.Path(tmp_path)
    digest = names.save(found, directory, "test")
    assert names.load(directory, "test", digest) == found
    assert names.load(directory, "test", "") == names.Names(), "of rows that were prepared without any"
    (tmp_path / "test-names.json.zst").write_bytes(b"else")
    with pytest.raises(DamagedData, match="test-names.json.zst"):
        names.load(directory, "test", digest)


def test_prepared_rows_know_what_their_documents_are_called(prepared, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("a", "b"):
        (tmp_path / "mine" / f"{name}.txt").write_text(f"the text of {name}")
    found = prepare_for_evaluation(str(tmp_path / "mine"), prepared.vocabulary, 32, tmp_path / "rows", progress=silent)
    rows, split = found.rows("evaluation"), found.manifest.splits["evaluation"]
    ids = [rows.called().document(number) for number in sorted(set(rows.read([0])["document"].ravel().tolist()))]
    assert [name.rpartition("/")[2] for name in ids] == ["a.txt", "b.txt"]
    assert manifest.load(found.directory).splits["evaluation"].names == split.names != ""


def test_held_out_splits_have_names_and_training_has_none(prepared):
    splits = prepared.manifest.splits
    assert splits["train"].names == "" and all(splits[name].names for name in splits if name != "train")
    rows = prepared.rows("validation")
    columns = rows.read(range(len(rows)))
    groups = {rows.called().group(number) for number in set(columns["group"][columns["segment_ids"] > 0].tolist())}
    assert len(groups) == splits["validation"].groups and not any(name.isdecimal() for name in groups)
