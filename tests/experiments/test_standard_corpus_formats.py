"""Every format of the standard corpus: a small file as packages hold it, and the text that is made of it."""

import gzip
import io
import pathlib
import shutil
import sqlite3
import subprocess
import tarfile
import textwrap
import zipfile

import pytest

from experiments.standard_corpus import archives
from experiments.standard_corpus.formats import (
    brown,
    dictd,
    html,
    json_objects,
    medline,
    ontology,
    plain,
    roff,
    tables,
    wordnet,
)
from experiments.standard_corpus.texts import File, Found, tidy


def one(read, content, name="folder/file"):
    """The texts of one file."""
    content = content.encode() if isinstance(content, str) else content
    return list(read([File(name, content)]))


def test_brown_loses_its_tags_and_marks_return_to_their_words():
    tagged = (
        "\n\n\tHe/pps said/vbd ,/, ``/`` The/at half/abn is/bez 1/2/cd ''/'' ./.\nIt/pps is/bez (/( I/ppss )/) ;/;\n"
    )
    assert one(brown.read, tagged, "ca01") == [Found("ca01", 'He said, "The half is 1/2".\nIt is ( I );')]


def test_dictd_entries_are_cut_where_the_index_says():
    entries = ["about this dictionary\n", "ant\n\n   An insect.\n", "bee\n\n   Another,\n   with wings.\n"]
    index = "00-database-info\tA\tW\nant\tW\tT\nbee\tp\ti\nhoney bee\tp\ti\n"
    files = [File("index", index.encode()), File("dict.dz", gzip.compress("".join(entries).encode()))]
    assert list(dictd.read(files)) == [
        Found("22", "ant\n\n   An insect."),
        Found("41", "bee\n\n   Another,\n   with wings."),
    ]


def test_numbers_of_dictd_have_sixty_four_digits():
    """A to Z, a to z, 0 to 9, + and / stand for 0 to 63."""
    entries = b"." * (64 * 64) + b"far away"
    files = [File("index", b"x\tBAA\tI\n"), File("dict.dz", gzip.compress(entries))]
    assert list(dictd.read(files)) == [Found("4096", "far away")]


def test_wordnet_keeps_words_and_gloss():
    data = (
        "  1 This line belongs to the licence.  \n"
        '00001740 03 n 02 small_boat 0 dinghy 1 002 @ 00003553 n 0000 ~ 00004258 n 0000 | it floats; "row it"  \n'
    )
    assert one(wordnet.read, data, "usr/share/wordnet/data.noun") == [
        Found("00001740noun", 'small boat, dinghy: it floats; "row it"')
    ]
    assert one(wordnet.read, "00000001 00 r 01 oft 0 000 | often\n", "data.adv") == [
        Found("00000001.adv", "oft: often")
    ]


def test_manual_pages_lose_their_requests_but_not_their_arguments():
    page = textwrap.dedent(r"""
        .\" written by hand
        .TH fold 1 2020-01-01
        .SH NAME
        fold \- break \fIlong\fP lines
        .SH OPTIONS
        .TP
        .BR \-w " width"
        columns
        .PP
        .nf
        The rest.
        .fi
        .SS Bugs
        \&
        None.
        """)
    assert one(roff.read, gzip.compress(page.encode()), "fold.1.gz") == [
        Found(
            "fold.1.gz",
            'fold 1 2020-01-01\n\nNAME\nfold - break long lines\n\nOPTIONS\n\n-w " width"\ncolumns\n\nThe rest.\n\n'
            "Bugs\n\nNone.",
        )
    ]


def test_html_is_read_without_menus_and_scripts():
    page = """\
<html><head><title>Hidden</title><style>p {color: red}</style></head><body>
<div class="navheader wide"><div>Prev</div> Next</div><nav><ul><li>Menu</ul></nav>
<h1>Sums<a class="headerlink" href="#sums">¶</a></h1><p>One &amp; <b>two</b>
are three.</p><pre class="code">
1 + 2</pre><script>var x = "<p>";</script>
<ul><li>first<li>second</ul><table><tr><td>a</td><td>b</td></tr></table>
<footer>The end</footer></body></html>"""
    assert one(html.read, page, "sums.html") == [
        Found("sums.html", "Sums\nOne & two\nare three.\n1 + 2\n\nfirst\nsecond\n\nab")
    ]


def article(pmid, *, language="eng", abstract="<AbstractText>Text.</AbstractText>"):
    return (
        f"<PubmedArticle><MedlineCitation><PMID>{pmid}</PMID><Article><ArticleTitle>On <i>E. coli</i>.</ArticleTitle>"
        f"<Abstract>{abstract}</Abstract><Language>{language}</Language></Article></MedlineCitation></PubmedArticle>"
    )


def test_medline_keeps_english_abstracts_without_a_publishers_notice():
    labelled = (
        '<AbstractText Label="AIM">We ask.</AbstractText><AbstractText Label="END">So <b>it</b> is.</AbstractText>'
    )
    noticed = "<AbstractText>Theirs.</AbstractText><CopyrightInformation>(c) Them</CopyrightInformation>"
    articles = [
        article(1),
        article(2, abstract=labelled),
        article(3, abstract=noticed),
        article(4, language="fre"),
        article(5, abstract=""),
    ]
    content = gzip.compress(f"<PubmedArticleSet>{''.join(articles)}</PubmedArticleSet>".encode())
    assert one(medline.read, content) == [
        Found("1", "On E. coli.\n\nText."),
        Found("2", "On E. coli.\n\nAIM: We ask. END: So it is."),
    ]


def test_obo_terms_are_name_definition_and_comment():
    obo = textwrap.dedent("""\
        format-version: 1.2

        [Term]
        id: HP:1
        name: Long fingers
        def: "Fingers that are \\"long\\"." [PMID:1, "a note"]
        comment: Measure them.
        xref: A: "b"

        [Term]
        id: HP:2
        name: Short fingers
        def: "Not long." []

        [Term]
        id: HP:3
        name: Without a definition

        [Typedef]
        id: part_of
        def: "Not a term." []
        """)
    assert one(ontology.read_obo, obo) == [
        Found("HP:1", 'Long fingers\nFingers that are \\"long\\".\nMeasure them.'),
        Found("HP:2", "Short fingers\nNot long."),
    ]


def test_terms_of_a_database_are_name_and_definition(tmp_path):
    path = tmp_path / "go.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("create table go_term (_id, go_id, term, ontology, definition)")
    connection.execute("insert into go_term values (1, 'GO:7', 'growth', 'BP', 'Getting larger.')")
    connection.execute("insert into go_term values (2, 'GO:8', 'rest', 'BP', null)")
    connection.commit()
    connection.close()
    assert one(ontology.read_sqlite, path.read_bytes()) == [
        Found("GO:7", "growth\nGetting larger."),
        Found("GO:8", "rest\nNone"),
    ]


def test_articles_of_a_json_object_have_their_title_above():
    assert one(json_objects.read_articles, '{"Tea": {"title": "Tea", "extract": "A drink. "}}') == [
        Found("Tea", "Tea\n\nA drink.")
    ]


def test_json_is_indented_and_cut(monkeypatch):
    assert one(json_objects.read_indented, '{"a":["é",1]}', "a.json") == [
        Found("a.json", '{\n  "a": [\n    "é",\n    1\n  ]\n}')
    ]
    monkeypatch.setattr(json_objects, "LONGEST", 4)
    assert one(json_objects.read_indented, '{"a":1}', "a.json") == [Found("a.json", "{\n  ")]


def test_tables_are_cut_into_pieces_up_to_a_length(monkeypatch):
    monkeypatch.setattr(tables, "PIECE", 4)
    monkeypatch.setattr(tables, "LONGEST", 10)
    assert one(tables.read, "1,2\n3,4\n5,6\n", "t.csv") == [
        Found("t.csv#0", "1,2\n"),
        Found("t.csv#4", "3,4\n"),
        Found("t.csv#8", "5,"),
    ]


def test_plain_files_are_tidied_unless_they_are_code_of_a_wheel():
    raw = "a\r\nb\0\n\n\n\n\nc\n"
    assert one(plain.read, raw, "a.txt") == [Found("a.txt", "a\nb\n\n\nc")]
    assert one(plain.read, gzip.compress(raw.encode()), "a.gz") == [Found("a.gz", "a\nb\n\n\nc")]
    assert one(plain.read_unchanged, raw, "a.py") == [Found("a.py", raw)]
    assert one(plain.read, b"caf\xe9", "a.txt") == [Found("a.txt", "caf\ufffd")]


def test_tidying_twice_changes_nothing():
    text = tidy("\n x\r\n\r\n\r\n\r\n\r\ny \0\n")
    assert tidy(text) == text == "x\n\n\ny"


FILES = {"docs/a.txt": b"A", "docs/deep/b.txt": b"B", "docs/c.png": b"C"}


def packed_wheel(path):
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in FILES.items():
            wheel.writestr(name, content)


def packed_tar(path):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def packed_deb(path):
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    root = path.with_suffix("")
    control = "Package: docs\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: docs\n"
    for name, content in {**FILES, "DEBIAN/control": control.encode()}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, path], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("name", "pack"), [("d-1-py3-none-any.whl", packed_wheel), ("d-1.tgz", packed_tar), ("d_1_all.deb", packed_deb)]
)
def test_archives_yield_matching_files_under_the_names_in_parentheses(tmp_path, name, pack):
    archive = pathlib.Path(tmp_path, name)
    pack(archive)
    assert sorted(archives.files(archive, r"docs/.*\.txt")) == [
        File("docs/a.txt", b"A"),
        File("docs/deep/b.txt", b"B"),
    ]
    assert list(archives.files(archive, r"(docs)/deep/(\w)\.txt")) == [File("docs/b", b"B")]
