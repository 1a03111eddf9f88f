import json

import pyarrow
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import source_files, sources
from hybridlm.data.documents import Document, Dropped


def read(path, **audit):
    return list(sources.read(Source(path=str(path)), AuditConfig(**audit)))


def lines(*fields) -> bytes:
    return "\n".join(json.dumps(field) for field in fields).encode()


@pytest.fixture
def folder(tmp_path):
    """A directory with every kind of source in it."""
    files = {
        "readme.txt": b"plain text",
        "code/a/one.py": b"x = 1\r\n",
        "code/two.sql": b"select 1",
        "config.yaml": b"a: 1",
        "notes.jsonl": lines({"text": "first"}, {"text": "second", "id": "n2", "group": "g", "domain": "d"}),
        ".git/config": b"hidden",
        "long.txt.zst": pyarrow.compress(b"long " * 9, "zstd", asbytes=True),
        "more.jsonl.zst": pyarrow.compress(lines({"text": "third", "split": "test"}), "zstd", asbytes=True),
    }
    for name, content in files.items():
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "corpus"


def test_a_directory_is_read_in_the_order_of_names_with_groups_and_domains(folder):
    assert read(folder) == [
        Document("code/a/one.py", "x = 1\r\n", "code/a", "python"),
        Document("code/two.sql", "select 1", "code", "sql"),
        Document("config.yaml", "a: 1", "config", "yaml_json"),
        Document("long.txt.zst", "long " * 9, "long", "text"),
        Document("more.jsonl.zst:1", "third", "more.jsonl.zst:1", "more", "test"),
        Document("notes.jsonl:1", "first", "notes.jsonl:1", "notes"),
        Document("n2", "second", "g", "d"),
        Document("readme.txt", "plain text", "readme", "text"),
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.txt", ["readme.txt"]),
        ("co*", ["code/a/one.py", "code/two.sql", "config.yaml"]),
        ("**/*.py", ["code/a/one.py"]),
        ("code", ["a/one.py", "two.sql"]),
        ("code/two.sql", ["two.sql"]),
    ],
)
def test_a_source_may_be_a_glob_a_directory_or_a_file(folder, pattern, names):
    assert [file.name for file in source_files.files(str(folder / pattern))] == names


def test_a_source_that_names_nothing_says_what_a_source_is(tmp_path):
    with pytest.raises(ConfigError, match=r"'.*/absent\*' names no file: a source is a file, a directory, a glob, "):
        read(tmp_path / "absent*")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="'.*/empty' is a directory in which there is no file; hidden ones are left"):
        read(tmp_path / "empty")
    with pytest.raises(ConfigError, match=rf"or 'embedded'; did you mean {tmp_path}/empty\?"):
        read(tmp_path / "emty")


def test_the_digest_follows_content_and_names_but_not_the_place(folder, tmp_path):
    before = sources.digest(str(folder))
    moved = folder.rename(tmp_path / "elsewhere")
    assert sources.digest(str(moved)) == before
    (moved / "config.yaml").write_text("a: 2")
    changed = sources.digest(str(moved))
    (moved / "readme.txt").rename(moved / "README.txt")
    assert len({before, changed, sources.digest(str(moved))}) == 3


BAD_TEXT = {
    "latin.txt": (b"caf\xe9", Dropped("latin.txt", "not UTF-8", 4)),
    "binary.bin": (b"ELF\0\0", Dropped("binary.bin", "holds NUL bytes", 5)),
    "line.jsonl": (b'{"text": "caf\xe9"}\n', Dropped("line.jsonl:1", "not UTF-8", 17)),
    "half.jsonl": (rb'{"text": "\ud83d"}', Dropped("half.jsonl:1", "not UTF-8", 1)),
}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_bad_text_is_dropped_by_name_or_refused(tmp_path, name):
    content, dropped = BAD_TEXT[name]
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name) == [dropped]
    finding, fix = (
        ("nul", "Remove the NUL") if dropped.reason == "holds NUL bytes" else ("not_utf8", "Convert it to UTF-8")
    )
    rule = f"{dropped.id}: {dropped.reason}, and data.audit.{finding}='fail' allows no such document. {fix}"
    with pytest.raises(ConfigError) as error:
        read(tmp_path / name, not_utf8="fail", nul="fail")
    assert str(error.value).startswith(rule)


def test_empty_documents_are_dropped_whatever_the_policy(tmp_path):
    (tmp_path / "empty.txt").write_text(" \n\t")
    (tmp_path / "lines.jsonl").write_bytes(lines({"text": ""}, {"text": "kept"}))
    assert read(tmp_path, not_utf8="fail") == [
        Dropped("empty.txt", "empty", 3),
        Dropped("lines.jsonl:1", "empty", 0),
        Document("lines.jsonl:2", "kept", "lines.jsonl:2", "lines"),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "cut sh', "not valid JSON"),
        ('["text"]', "a JSON list, not an object"),
        ('{"content": "x"}', r"no string 'text' among the fields \['content'\]"),
        ('{"text": 7}', r"no string 'text' among the fields \['text'\]"),
    ],
)
def test_a_bad_line_is_an_error_with_file_and_line(tmp_path, line, problem):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line)
    with pytest.raises(ConfigError, match=f"corpus.jsonl, line 3: {problem}.* Repair or remove the line"):
        read(path)


def test_a_split_of_another_name_is_refused_with_its_line(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(lines({"text": "fine", "split": "test"}, {"text": "x", "split": "dev"}))
    with pytest.raises(ConfigError, match="corpus.jsonl:2: split 'dev' is not one of train, validation, test. Rename"):
        read(path)


def test_a_compressed_file_cut_short_is_an_error_naming_it(tmp_path):
    content = pyarrow.compress(lines(*({"text": f"document {n}"} for n in range(500))), "zstd", asbytes=True)
    (tmp_path / "cut.jsonl.zst").write_bytes(content[:-9])
    with pytest.raises(OSError, match=r"cut.jsonl.zst cannot be read to its end \(.*\); copy or download it again"):
        read(tmp_path / "cut.jsonl.zst")


def test_frames_of_a_compressed_file_follow_each_other(tmp_path):
    frames = [pyarrow.compress(lines({"text": text}) + b"\n", "zstd", asbytes=True) for text in ("one", "two")]
    (tmp_path / "frames.jsonl.zst").write_bytes(b"".join(frames))
    assert [document.text for document in read(tmp_path)] == ["one", "two"]
