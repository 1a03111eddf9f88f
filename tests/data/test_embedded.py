import sys

import pytest

from hybridlm.data import embedded
from hybridlm.data.documents import Document, Dropped

DOCSTRING = "Says at some length what this does, since a docstring of a few words is not counted as English."

MODULES = {
    "alone.py": f'"""{DOCSTRING}"""\n\n\ndef f():\n    """Short."""\n',
    "package/inner.py": f'class A:\n  """{DOCSTRING} First."""\n\n  def f():\n    """{DOCSTRING} Second."""\n',
    "package/tests/inner.py": "x = 1\n",
    "test/test_alone.py": "x = 2\n",
    "site-packages/foreign.py": "x = 3\n",
    "_sysconfigdata_here.py": "x = 4\n",
}


@pytest.fixture
def library(tmp_path, monkeypatch):
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(embedded, "_library", lambda: tmp_path)
    embedded._everything.cache_clear()
    yield tmp_path
    embedded._everything.cache_clear()


def documents(found, domain):
    return {document.id: document for document in found if isinstance(document, Document) and document.domain == domain}


def test_code_leaves_out_tests_and_foreign_packages(library):
    (library / "latin.py").write_bytes(b"# caf\xe9\n")
    with pytest.warns(UserWarning):
        found = list(embedded.read())
    assert list(documents(found, "python")) == ["alone.py", "package/inner.py"]
    assert Dropped("latin.py", "not UTF-8", 7) in found


def test_a_module_and_its_docstrings_are_one_group(library):
    with pytest.warns(UserWarning):
        found = list(embedded.read())
    code, english = documents(found, "python"), documents(found, "english")
    assert english["alone.py:docstrings"].text == DOCSTRING
    assert english["package/inner.py:docstrings"].text == f"{DOCSTRING} First.\n\n{DOCSTRING} Second."
    for name, document in code.items():
        assert document.group == english[f"{name}:docstrings"].group
    assert code["package/inner.py"].group == "package"


def test_the_language_reference_is_english(library):
    with pytest.warns(UserWarning):
        english = documents(embedded.read(), "english")
    assert "The assert statement" in english["pydoc_data/topics:assert"].text.replace('"', "").replace("``", "")


def test_a_python_without_language_reference_is_used_without(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.warns(UserWarning):
        found = list(embedded.read())
    assert Dropped("pydoc_data/topics", "not part of this Python") in found
    assert list(documents(found, "english")) == ["alone.py:docstrings", "package/inner.py:docstrings"]


def test_decimal_tests_are_grouped_by_operation_over_all_precisions(library):
    (library / "test/decimaltestdata").mkdir()
    for name in ("add", "ddAdd", "dqAdd", "divide"):
        (library / f"test/decimaltestdata/{name}.decTest").write_text(f"{name} 1 2 -> 3\n")
    numbers = documents(embedded.read(), "numbers")
    assert {name.split("/")[1]: document.group for name, document in numbers.items()} == {
        "add.decTest": "decimal/add",
        "ddAdd.decTest": "decimal/add",
        "dqAdd.decTest": "decimal/add",
        "divide.decTest": "decimal/divide",
    }


def test_a_python_without_decimal_tests_is_reported_and_used_without(library):
    with pytest.warns(UserWarning, match="without test/decimaltestdata, so .* no domain 'numbers'"):
        found = list(embedded.read())
    assert Dropped("test/decimaltestdata", "not part of this Python") in found
    assert documents(found, "numbers") == {} and len(documents(found, "python")) == 2


def test_the_running_python_is_a_corpus():
    names = dict(embedded.files())
    assert {"dataclasses.py", "json/decoder.py"} <= set(names)
    assert embedded.docstrings(names["dataclasses.py"].read_text()).count("\n\n") > 5
