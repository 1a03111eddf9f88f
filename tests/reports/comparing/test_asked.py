"""Mistakes that headers and texts alone can tell are refused before a row is read."""

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import token_reader, token_writer
from hybridlm.reports.comparing.rows import Settings
from hybridlm.reports.comparing.run import compare


@pytest.fixture
def refused(token_columns, tmp_path, monkeypatch):
    """A function of an edit of the second file, and of settings: how the comparison is refused, no row being read."""

    def make(edit=lambda header, columns, texts: None, reading="", kind="exact", **settings):
        for name, change, its_kind in (("a", lambda *parts: None, "exact"), ("b", edit, kind)):
            header, columns, texts = token_columns(kind=its_kind)
            columns = {key: list(values) for key, values in columns.items()}
            change(header, columns, texts)
            token_writer.write(tmp_path / f"{name}.parquet", header, columns, texts)
        monkeypatch.setattr(token_reader, "read", lambda *_, **__: pytest.fail("rows were read before it was refused"))
        with pytest.raises(ConfigError) as found:
            compare([f"{tmp_path}/{name}.parquet{reading}" for name in "ab"], "", Settings(**settings))
        return str(found.value)

    return make


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"families": ("knd",)}, "--families=knd is not in these files; did you mean 'kind'?"),
        ({"adjust": ("knd",)}, "--adjust=knd is no family of these files; did you mean 'kind'?"),
        ({"filter": "wrd"}, "the filter name 'wrd' is neither a label nor a preset; did you mean 'word'?"),
        ({"filter": "kind=wrd"}, "label 'wrd' of family 'kind' is not known; did you mean 'word'?"),
    ],
)
def test_names_that_are_not_there(refused, settings, text):
    assert text in refused(**settings)


def test_kinds_never_meet(refused):
    text = refused(reading="@ar", kind="share")
    assert text.startswith("'ar' of 'b' is of kind 'share' and 'ar' of 'a' of kind 'exact'; kinds answer different ")
    assert "shares move cost between tokens and are not surprisal" in text
    assert text.endswith("Name b@unigram, which is exact too.")


def test_other_texts_are_counted_with_short_hashes(refused, token_columns):
    _, columns, texts = token_columns()
    tokens = {name: list(columns["document"]).count(name) for name in texts}

    def edit(header, columns, texts):
        texts["doc 03"] += "!"
        kept = [n for n, name in enumerate(columns["document"]) if name != "doc 05"]
        columns |= {key: [values[n] for n in kept] for key, values in columns.items()}
        del texts["doc 05"]

    text, data = refused(edit), token_reader.token_file.data_hash(texts)
    assert f"(their hashes are {data[:8]} and " in text and data[:9] not in text
    changed = f"{tokens['doc 03']} tokens of 'a', {tokens['doc 03']} tokens of 'b'"
    missing = f"1 are missing in 'b' ({tokens['doc 05']} tokens of 'a')"
    assert f"of the documents of 'a' and 'b' 1 differ ({changed}); {missing}; the first is 'doc 03' (their" in text
