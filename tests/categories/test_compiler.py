import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.categories import registry
from hybridlm.categories.compiler import LabelSet, compile_document, compile_shares
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position
from hybridlm.categories.lexicon import Lexicon
from hybridlm.categories.positions import POSITIONS, bracket_role, code, copy, number_kind
from hybridlm.config.errors import ConfigError

BY_TEXT_ALONE = [family for family in POSITIONS if not family.needs]
FOR_CODE = (code.FAMILY, bracket_role.FAMILY)
PYTHON = "def f(x):\n    '''Says\n    nothing (yet.'''\n    return (x,\n        1.5)\n"
"""Cut anywhere, its pieces are broken code: half a string, half a bracket."""


def tokens_of(text, size=3):
    """(ids, ends) of tokens of some bytes each."""
    spelled = text.encode()
    pieces = [spelled[n : n + size] for n in range(0, len(spelled), size)]
    known = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return np.array([known[piece] for piece in pieces], np.int64), np.cumsum([len(piece) for piece in pieces])


def shouted(document):
    return np.array([1 + character.isupper() for character in document.text], np.int8)


def family(**options):
    labels = {"no_text": "begin, end, padding", "quiet": "no capital", "loud": "has a capital"}
    return by_position(**{"name": "shouted", "question": "Shouted?", "labels": labels, "rule": "any"} | options)


@settings(max_examples=20)
@given(st.data())
def test_windows_keep_the_labels_of_the_whole_document(data):
    ids, ends = tokens_of(PYTHON)
    whole = LabelSet(POSITIONS, compile_document(BY_TEXT_ALONE, PYTHON, ids, ends, "python"))
    begin = data.draw(st.integers(0, len(ids)))
    window = whole.window(begin, data.draw(st.integers(begin, len(ids))))
    for family in BY_TEXT_ALONE:
        assert window.names(family.name) == whole.names(family.name)[begin : begin + len(window.columns["code"])]


def test_a_piece_compiled_by_itself_would_be_labelled_otherwise():
    """Why labels come first and cuts second: inside the string, `nothing (yet` looks like a name and a bracket."""
    ids, ends = tokens_of(PYTHON, 1)
    begin, end = PYTHON.index("nothing"), PYTHON.index("return")
    whole = LabelSet(FOR_CODE, compile_document(FOR_CODE, PYTHON, ids, ends, "python"))
    kept = whole.window(begin, end)
    piece = compile_document(FOR_CODE, PYTHON[begin:end], *tokens_of(PYTHON[begin:end], 1), "python")
    alone = LabelSet(FOR_CODE, piece)
    assert kept.names("code")[:7] == ["string_doc"] * 7 and alone.names("code")[:7] == ["name"] * 7
    assert "unmatched_open" not in kept.names("bracket_role") and "unmatched_open" in alone.names("bracket_role")


def test_a_family_of_ones_own_is_one_function():
    ids, ends = tokens_of("oh NO yes", 3)
    labels = compile_document((family(compile=shouted),), "oh NO yes", ids, ends)
    assert labels["shouted"].tolist() == [1, 2, 1]


def test_a_document_of_nothing_and_of_one_token():
    for text, ids, ends in (("", [], []), ("", [0], [0]), ("x", [0], [1])):
        found = compile_document(BY_TEXT_ALONE, text, np.array(ids, np.int64), np.array(ends, np.int64), "python")
        assert all(len(labels) == len(ids) for labels in found.values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"compile": lambda document: np.zeros(2, np.int8)},
            r"one label per character, 3 of them, but its shape is \(2,\)",
        ),
        (
            {"compile": lambda d: np.zeros(3, np.int8), "rule": "token"},
            r"one label per token, 1 of them, .* rule is 'token'",
        ),
        ({"compile": lambda document: np.full(3, 3, np.int8)}, "gave labels 0 to 3, but it declares 0 to 2"),
        ({"compile": lambda document: np.full(3, -1, np.int8)}, "gave labels -1 to 0, but"),
        (
            {"compile": shouted, "needs": "ranks"},
            "needs lexicon.ranks, which was not counted; make it from the training",
        ),
    ],
)
def test_a_family_that_breaks_its_word_is_named(options, said):
    with pytest.raises(ConfigError, match=f"family 'shouted' .*{said}"):
        compile_document((family(**options),), "abc", *tokens_of("abc"))


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="rule of family 'shouted'='fist' is not one of .*did you mean"):
        family(compile=shouted, rule="fist")


def test_tokens_of_another_text_are_refused():
    with pytest.raises(
        ConfigError, match="must end with the text, at byte 4, but it ends at 3; do the ends count characters"
    ):
        compile_document(POSITIONS, "abé", *tokens_of("abc"))


def test_shares_of_a_category_are_the_same_under_two_tokenizers():
    totals = []
    for size in (2, 5):
        document = Document(PYTHON, *tokens_of(PYTHON, size), "python")
        shares = compile_shares(BY_TEXT_ALONE, document)
        sizes_N = np.diff(document.ends_N, prepend=0)
        totals.append({name: (sizes_N @ shares_NL).round(6).tolist() for name, shares_NL in shares.items()})
        assert all(np.allclose(shares_NL.sum(1), 1) for shares_NL in shares.values())
    assert totals[0] == totals[1] and copy.FAMILY.name not in totals[0]
    assert totals[0]["number_kind"] == [len(PYTHON) - 3, 0, 3] + [0] * (len(number_kind.LABELS) - 3)


def test_registered_families_join_the_list_and_the_description(monkeypatch):
    monkeypatch.setattr(registry, "_own", [])
    mine = registry.register(family(compile=shouted))
    assert registry.families()[-1] is mine
    assert registry.describe()["shouted"] == {
        "question": "Shouted?",
        "source": "text of the document, rule 'any'",
        "labels": {"no_text": "begin, end, padding", "quiet": "no capital", "loud": "has a capital"},
    }
    with pytest.raises(ConfigError, match="there is already a family 'shouted'; give yours another name"):
        registry.register(family(compile=shouted))


def test_the_description_walks_all_families_whatever_carries_them():
    sources = {name: found["source"] for name, found in registry.describe().items()}
    assert {
        "character_type": "vocabulary id",
        "keyword": "vocabulary id and language",
        "domain": "column language",
        "code": "text of the document, rule 'majority'",
        "word_band": "text of the document, rule 'first'",
        "copy": "position in the document",
    }.items() <= sources.items()
    assert registry.describe()["domain"]["labels"] is None


def test_families_whose_lexicon_is_missing_are_left_out_of_the_compilable():
    def left_out(lexicon):
        return {family.name for family in POSITIONS} - {family.name for family in registry.compilable(lexicon)}

    assert left_out(Lexicon()) == {"word_band", "domain_term", "associative_recall"}
    assert left_out(Lexicon(ranks={})) == {"domain_term", "associative_recall"}
