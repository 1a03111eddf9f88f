"""The published schema: what a header may say, which columns there are, and what identifies the data."""

import json

import pyarrow as pa
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports.token_file import Family, Header, Reading, data_hash, decode, encode, schema, texts_path

HEADER = Header(
    readings={"ar": Reading(), "masked": Reading(kind="share", sees="unmasked tokens", samples=8)},
    families={"kind": Family(labels={"word": "letters", "digit": "digits"}, question="What?", is_ordered=True)},
    tokenizer="t",
    checkpoint="c",
    code="x",
    run={"step": 3},
)
REQUIRED = ["document", "group", "position", "byte_start", "byte_end", "score/ar", "score/masked", "label/kind"]


def test_the_required_columns_are_those_of_the_page():
    found = schema(HEADER)
    assert found.names == REQUIRED
    assert found.field("document").type == pa.dictionary(pa.int32(), pa.string())
    assert found.field("score/ar").type == pa.float32()
    assert found.field("label/kind").type == pa.dictionary(pa.int8(), pa.string())


def test_a_header_comes_back_from_the_metadata():
    assert decode(encode(HEADER), "a.parquet") == HEADER


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ("score/arr", "column 'score/arr' names 'arr', which the header does not; did you mean 'ar'?"),
        ("label/knd", "column 'label/knd' names 'knd', which the header does not; did you mean 'kind'?"),
        ("likeliest/ar/knd", "column 'likeliest/ar/knd' names 'knd', which the header does not; did you mean 'kind'?"),
        ("surprise", "'surprise' is no column of a token file; known are document, group"),
        ("score", "'score' is no column of a token file"),
        ("likeliest/kind", "'likeliest/kind' is no column of a token file"),
    ],
)
def test_other_columns_are_refused_by_name(extra, text):
    with pytest.raises(ConfigError) as refused:
        schema(HEADER, [*REQUIRED, extra])
    assert str(refused.value).startswith(text)


def test_optional_columns_have_their_types():
    found = schema(HEADER, [*REQUIRED, "likeliest/ar/kind", "rank/masked", "token", "error/masked"])
    assert [str(found.field(name).type) for name in found.names[-4:]] == [
        "dictionary<values=string, indices=int8, ordered=0>",
        "int32",
        "int32",
        "float",
    ]


def test_a_missing_column_is_named():
    with pytest.raises(ConfigError, match=r"the columns \['byte_end', 'score/masked'\] are missing: every token needs"):
        schema(HEADER, [name for name in REQUIRED if name not in ("byte_end", "score/masked")])


def test_a_bound_is_not_of_one_token():
    with pytest.raises(ConfigError, match="cannot be of kind 'bound', which is of a whole text: its parts are of kind"):
        Reading(kind="bound")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"readings": {}}, "needs at least one reading"),
        ({"readings": {"a/b": Reading()}}, "become parts of columns and hold no '/': \\['a/b'\\]"),
        ({"families": {"kind": Family(labels={})}}, "family 'kind' has 0 labels; 1 to 128 are possible"),
    ],
)
def test_a_header_that_cannot_be_is_refused(fields, text):
    with pytest.raises(ConfigError, match=text):
        Header(**{"readings": {"ar": Reading()}, "tokenizer": "t", "checkpoint": "c", "code": "x"} | fields)


def test_other_files_and_other_versions_are_told_apart():
    with pytest.raises(ConfigError, match="a.parquet is no file of token scores: its metadata do not name the format"):
        decode({b"pandas": b"{}"}, "a.parquet")
    content = json.loads(encode(HEADER)[b"hybridlm"]) | {"version": 2}
    with pytest.raises(
        ConfigError, match="is of version 2 of the token scores, but .* reads version 1; update hybridlm."
    ):
        decode({b"hybridlm": json.dumps(content).encode()}, "a.parquet")


def test_data_are_the_same_in_any_order_and_for_no_other_text():
    whole = data_hash({"a": "one", "b": "two"})
    assert whole == data_hash({"b": "two", "a": "one"})
    others = ({"a": "one"}, {"a": "two", "b": "one"}, {"a": "onet", "b": "wo"}, {"ao": "ne", "b": "two"})
    assert len({whole, *map(data_hash, others)}) == 5


def test_texts_lie_beside_the_tokens():
    assert texts_path("runs/a/tokens.parquet").name == "tokens.documents.parquet"
