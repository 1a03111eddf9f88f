"""Readings side by side: token by token, by bytes, and refused where groups or places differ."""

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import token_reader, token_writer
from hybridlm.reports.comparing.aligned import Source, align


@pytest.fixture
def source(token_columns, tmp_path):
    """A function of changes to the small file, as a source."""

    def make(name, *, edit=lambda header, columns, texts: None, reading="ar", **options):
        header, columns, texts = token_columns(**options)
        columns, texts = {key: list(values) for key, values in columns.items()}, dict(texts)
        edit(header, columns, texts)
        token_writer.write(tmp_path / f"{name}.parquet", header, columns, texts)
        return Source(name, token_reader.read(tmp_path / f"{name}.parquet"), reading)

    return make


def test_equal_tokens_stand_row_by_row_without_those_that_one_did_not_score(source):
    found = align([source("a"), source("b", seed=1, gain={"word": 0.5})])
    assert found.unit == "token" and (found.count_T == 1).all()
    assert len(found.row_T) == len(found.baseline.tokens) - 36, "the first token of each document has no score"
    is_word_T = found.label["kind"] == 0
    gap_T = found.cost["a"] - found.cost["b"]
    assert gap_T[is_word_T].mean() == pytest.approx(0.5, abs=0.02)
    assert gap_T[~is_word_T].mean() == pytest.approx(0, abs=0.02)


def test_rows_that_one_file_lacks_are_left_out(source):
    def drop(header, columns, texts):
        for values in columns.values():
            del values[3]

    base, other = source("a"), source("b", edit=drop)
    whole = align([base, source("c")])
    found = align([base, other])
    assert sorted(set(whole.row_T.tolist()) - set(found.row_T.tolist())) == [3]
    assert np.allclose(found.cost["b"], whole.cost["c"][whole.row_T != 3])


def merge_pairs(header, columns, texts):
    """Another tokenizer: the second and the third token of every document become one, with the sum of their scores."""
    for n in reversed([n for n, place in enumerate(columns["position"]) if place == 0]):
        columns["byte_end"][n + 1] = columns["byte_end"][n + 2]
        columns["score/ar"][n + 1] += columns["score/ar"][n + 2]
        for values in columns.values():
            del values[n + 2]
    object.__setattr__(header, "tokenizer", "words-2")


def test_across_tokenizers_bytes_are_counted_and_sums_kept(source):
    base, other = source("a"), source("b", edit=merge_pairs)
    found = align([base, other])
    assert found.unit == "byte"
    tokens = base.tokens
    sizes = tokens.byte_end_T - tokens.byte_start_T
    assert found.count_T.sum() == sizes[tokens.position_T > 0].sum()
    for name, own in (("a", base), ("b", other)):
        assert found.cost[name].sum() == pytest.approx(np.nansum(own.score_T))
    assert np.allclose(found.cost["a"], found.cost["b"]), "the same costs, cut otherwise, are the same costs"


def test_other_groups_are_refused(source):
    def edit(header, columns, texts):
        columns["group"] = ["group 00" if name == "group 01" else name for name in columns["group"]]

    with pytest.raises(ConfigError, match="group the same documents differently, so they have no clusters in common"):
        align([source("a"), source("b", edit=edit)])


def test_one_tokenizer_with_two_cuts_is_refused(source):
    def shift(header, columns, texts):
        columns["position"] = [place + 1 for place in columns["position"]]

    with pytest.raises(
        ConfigError, match="name the same tokenizer, but position 1 of document 'doc 00' is at other bytes"
    ):
        align([source("a"), source("b", edit=shift)])


def test_what_is_compared_has_a_hash_that_no_score_changes(source):
    one = align([source("a"), source("b", seed=1)])
    again = align([source("a"), source("c", seed=2)])
    assert one.data == again.data
    fewer = one.kept(one.label["kind"] == 0)
    assert fewer.data != one.data and len(fewer.row_T) == int((one.label["kind"] == 0).sum())
