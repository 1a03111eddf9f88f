"""Every family of positions: texts cut into tokens at `|` with the labels of the tokens, and laws for any text."""

import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.categories import alignment, bigrams, positions
from hybridlm.categories.compiler import LabelSet, compile_document
from hybridlm.categories.lexicon import Lexicon
from hybridlm.categories.positions import POSITIONS, part_of_speech

RANKS = {"the": 0, "common": 999, "known": 1_000, "scarce": 10_000, "hapax": 50_000}
TERMS = {"biomedical": frozenset({"enzyme"}), "prose": frozenset({"parlour"})}

PICTURES = {
    "code": [
        (
            "code_python",
            "import| os|\n|@cached|\n|def| f|(|x|):|  # why|\n    |return| x| is| None| or| len|(|'a|\\n|'|)| + 0x1f",
            """keyword_import name_module whitespace name_decorator whitespace keyword name_function punctuation name
            punctuation comment whitespace keyword name keyword_operator keyword_constant keyword_operator name_builtin
            punctuation string string_escape string punctuation other_number""",
        ),
        (
            "python",
            "class| A|():\n    |'''|Why|.'''|\n| $",
            "keyword name_class punctuation" + " string_doc" * 3 + " whitespace error",
        ),
        ("python", "x| =| 1|2| *| 1|.|5", "name operator integer integer operator float float float"),
        ("c", "#include <a.h>|\nint| x|;", "preprocessor keyword_type name punctuation"),
        (
            "html",
            "<|p| class|=|'a'|>|Hi| there|</|p|>",
            """punctuation name_tag name_attribute operator string punctuation text
            text punctuation name_tag punctuation""",
        ),
        ("yaml", "a|:| b| c|\n# d", "name_tag punctuation literal literal comment"),
        ("prose", "def| f", "not_code not_code"),
    ],
    "data_role": [
        (
            "yaml_json",
            '{|"a|"|:| 1|,| "b"|: [|true|,| "c"|]}',
            "structure key key structure value structure key structure value structure value structure",
        ),
        (
            "yaml_json",
            "name|:| plain| text|  # note|\nlist|:|\n|  |-| &|id| 3|\nb:| >|\n  line| two",
            """key structure value value comment key structure whitespace whitespace structure value value value key
            structure value value""",
        ),
        ("json", '{|"a"|: |@', "structure key structure error"),
        ("prose", "a|:| b", "no_data no_data no_data"),
    ],
    "bracket_role": [
        (
            "prose",
            "1|)| see| (|fig|. [|2|)",
            "no_bracket unmatched_close no_bracket open no_bracket unmatched_open no_bracket close",
        ),
        (
            "python",
            "f|(|a|[|0|])|  # (|\n|x = '|(|'",
            "no_bracket open no_bracket open no_bracket close" + " no_bracket" * 5,
        ),
        ("html", "<p|>|a|<br>|b|</p>|</i>", "open open no_bracket unmatched_open no_bracket close unmatched_close"),
        ("latex", "\\begin|{list}|x|\\end{list}", "open open no_bracket close"),
    ],
    "bracket_depth": [
        ("prose", "a| (|b| [|c|](|d|)|)| e (", "0 1 1 2 2 2 2 2 1 0"),
        ("prose", "(((|a|(|b|)|)))", "1 3 4_or_more 4_or_more 4_or_more 3"),
    ],
    "bracket_distance": [
        (
            "prose",
            "()|(|a|)| (|b|c|d|e|)|)",
            "same_token no_close no_close 1_4 no_close no_close no_close no_close no_close 5_16 no_close",
        ),
        ("prose", "(" + "|a" * 16 + "|)", "no_close " * 17 + "17_64"),
        ("prose", "(" + "|a" * 64 + "|)", "no_close " * 65 + "65_256"),
        ("prose", "(" + "|a" * 256 + "|)", "no_close " * 257 + "257_1024"),
        ("prose", "(" + "|a" * 1024 + "|)", "no_close " * 1025 + "beyond_1024"),
    ],
    "indentation": [
        (
            "python",
            "def f|:|\n|    |if| x|:|\n\t|y|\n\n|    |z|\n|w|\n    \n| v",
            """same not_line_start not_line_start indent indent not_line_start not_line_start indent indent
            not_line_start dedent dedent not_line_start dedent not_line_start indent""",
        ),
    ],
    "number_kind": [
        (
            "prose",
            "42| 3|.|14| 1|,|000|.|5| 1e|-5| 0x|ff",
            "integer" + " decimal" * 3 + " grouped" * 5 + " scientific" * 2 + " hexadecimal" * 2,
        ),
        (
            "prose",
            "12|.5| %|;| 2024|-05-|01| 12:30| 1|.2|.3",
            "percent percent percent none" + " date_time" * 4 + " version" * 3,
        ),
        ("prose", "x|86| 3|rd| p<|.|05|. 7|.", "none in_word in_word none none decimal decimal integer none"),
        ("sql", "1|.|5", "decimal decimal decimal"),
    ],
    "digit_place": [
        (
            "prose",
            "7| 1|2|3|4| 3|.|1|4|1",
            "only leading inner inner unit only no_digit first_decimal later_decimal later_decimal",
        ),
        ("prose", "12|,|345|,|678|.|90", "leading no_digit inner no_digit inner no_digit first_decimal"),
        ("prose", "1|,|2|3|4", "leading no_digit inner inner unit"),
        ("prose", "2024|-|0|5|-|6", "leading no_digit leading unit no_digit only"),
    ],
    "word_class": [
        (
            "prose",
            "It|'s| the| un|usual| well|-|known| 42|.",
            """function function function content content content not_a_word content
            not_a_word not_a_word""",
        ),
    ],
    "function_word": [
        (
            "prose",
            "She| will| not| go| to| the| sea| and",
            "pronoun auxiliary particle no_function_word preposition determiner no_function_word conjunction",
        ),
    ],
    "word_band": [
        (
            "prose",
            "The| common| kno|wn| scarce| hapax| zyx|?",
            "top_1k top_1k 1k_10k 1k_10k 10k_50k beyond_50k unseen not_a_word",
        ),
    ],
    "word_length": [
        (
            "prose",
            "a| cat| kit|ten| elephant| considered| characteristic|.",
            "1_3 1_3 4_6 4_6 7_9 10_12 13_or_more not_a_word",
        ),
    ],
    "word_occurrence": [
        ("prose", "The| cat|,| the| Cat|s", "new_word new_word not_a_word known_word new_word new_word"),
    ],
    "capitals": [
        (
            "prose",
            'The| cat| saw| Rome|. "|Then|\n|NATO| and| iPhone|.|\n\n|Yes|, a b\n\n|Ko',
            """sentence_start lower lower inside_sentence not_a_word sentence_start not_a_word all_capitals lower mixed
            not_a_word not_a_word sentence_start lower sentence_start""",
        ),
    ],
    "domain_term": [
        ("biomedical", "an| enz|yme| parlour|.", "plain own_term own_term foreign_term not_a_word"),
        ("elsewhere", "enzyme", "foreign_term"),
    ],
    "subword": [
        (
            "prose",
            "un|believ|able|,| the| dog|'s| a b|c| 1",
            "first middle last not_a_word whole first last whole last not_a_word",
        ),
    ],
    "copy": [
        ("prose", "a|b|c|a|b|c|b|a", "0 0 0 1 2 3 1 1"),
        ("prose", "x" + "|x" * 10, "0 1 2 3 4 5 6 7 8 8 8"),
    ],
    "copy_distance": [
        ("prose", "a|b|a|b|c", "no_copy no_copy 1_32 1_32 no_copy"),
        *(
            ("prose", "x|" + "y|" * (gap - 1) + "x", "no_copy no_copy " + "1_32 " * (gap - 2) + label)
            for gap, label in [
                (33, "33_128"),
                (129, "129_512"),
                (513, "513_2048"),
                (2049, "2049_8192"),
                (8193, "beyond_8192"),
            ]
        ),
    ],
    "interference": [
        #           a|b : a was followed by nothing yet;  a|c : by b;  a|d : by b, c;  a|e : by b, c, d;  a|f : by four
        ("prose", "a|b|a|c|a|d|a|e|a|f", "none none none one none two_or_three none two_or_three none four_or_more"),
    ],
    "recall": [
        ("prose", "z|a|b|c|d|e|f|y|a|b|c|d|e|f", "single " * 5 + "first first" + " single" * 5 + " repeat repeat"),
    ],
    "associative_recall": [
        ("prose", "a|b|c|b|a|b|c", "no_hit no_hit no_hit no_hit no_hit common_hit rare_hit"),
    ],
    "token_occurrence": [
        ("prose", "a| a|a", "new_token new_token known_token"),
    ],
    "document_position": [
        (
            "prose",
            "|".join("x" * 4097),
            "first"
            + " 1_3" * 3
            + " 4_15" * 12
            + " 16_63" * 48
            + " 64_255" * 192
            + " 256_1023" * 768
            + " 1024_4095" * 3072
            + " beyond_4095",
        ),
    ],
}
"""Family -> (domain, text cut at |, labels)."""

WITHOUT_TEXT = {"no_text"}
"""Labels that only begin, end and padding have."""


def numbered(tokens):
    """Equal tokens have equal ids, in the order in which they first appear."""
    ids = {}
    return np.array([ids.setdefault(token, len(ids)) for token in tokens], np.int64), [*map(str.encode, ids)]


def lexicon_of(tokens_of_training):
    ids, _ = numbered(tokens_of_training)
    return Lexicon(ranks=RANKS, terms=TERMS, bigrams=bigrams.count([ids]))


KNOWN = lexicon_of("ab" * 3)
"""Training text has the pair a b, ids 0 and 1 of a picture that begins with them."""


def labels_of(family, domain, cut):
    tokens = cut.split("|")
    ids, spelled = numbered(tokens)
    ends = alignment.byte_ends("".join(tokens), ids, spelled)
    labels = compile_document((family,), "".join(tokens), ids, ends, domain, KNOWN)
    return list(zip(tokens, LabelSet((family,), labels).names(family.name)))


@pytest.mark.parametrize("family", POSITIONS, ids=lambda family: family.name)
def test_concrete_texts_get_the_labels_that_a_person_would_give(family):
    shown = set()
    for domain, cut, labels in PICTURES[family.name]:
        assert labels_of(family, domain, cut) == list(zip(cut.split("|"), labels.split(), strict=True))
        shown |= set(labels.split())
    assert shown == set(family.labels) - WITHOUT_TEXT, "every label needs a picture"


def test_every_module_is_a_row_of_the_list_and_has_a_picture():
    modules = {module.name for module in pkgutil.iter_modules(positions.__path__)} - {"part_of_speech"}
    assert modules == {family.name for family in POSITIONS} == set(PICTURES)


def test_every_label_of_every_family_is_defined_in_words():
    assert all(definition for family in POSITIONS for definition in family.labels.values())


TEXTS = st.text("aB é漢😀 \n\t.'’-()[]{}<>#\"\\0129:,%_/=", max_size=30) | st.sampled_from(
    [
        "def f(x):\n  return 'é' # (",
        '{"a": [1.5, null]}',
        "It’s 1,000.50 – naïve 😀!",
        "<p a='b'>x</p>",
        "a: &b\n - c: |\n    d",
    ]
)
DOMAINS = st.sampled_from(["prose", "code_python", "yaml_json", "html", "latex", "sql", "biomedical"])


@st.composite
def tokenised(draw):
    """(text, ids, byte ends) cut anywhere: inside characters too, and with tokens of no bytes."""
    text = draw(TEXTS)
    size = len(text.encode())
    ends = np.array(sorted([*draw(st.lists(st.integers(0, size), max_size=12)), size]), np.int64)
    ids = draw(st.lists(st.integers(0, 3), min_size=len(ends), max_size=len(ends)))
    return text, np.array(ids, np.int64), ends


@settings(max_examples=50)
@given(tokenised(), DOMAINS)
def test_every_token_gets_exactly_one_declared_label_however_the_text_is_cut(drawn, domain):
    text, ids, ends = drawn
    compiled = compile_document(POSITIONS, text, ids, ends, domain, KNOWN)
    for family in POSITIONS:
        labels = compiled[family.name]
        assert len(labels) == len(ids) and set(labels.tolist()) <= set(range(len(family.labels))), family.name
        if family.rule != "token":
            assert not labels[np.diff(ends, prepend=0) == 0].any(), (
                "a token of no bytes is what no text family concerns"
            )


@settings(max_examples=60)
@given(tokenised(), DOMAINS)
def test_labels_of_bytes_do_not_depend_on_the_cut(drawn, domain):
    """Cut into single bytes, every rule gives each byte its own label; a token then has one that its bytes have."""
    text, ids, ends = drawn
    size = len(text.encode())
    bytewise, zeros = np.arange(1, size + 1), np.zeros(size, np.int64)
    labels = compile_document(POSITIONS, text, ids, ends, domain, KNOWN)
    of_bytes = compile_document(POSITIONS, text, zeros, bytewise, domain, KNOWN)
    for name in (family.name for family in POSITIONS if family.rule != "token"):
        for label, begin, end in zip(labels[name].tolist(), [0, *ends[:-1].tolist()], ends.tolist()):
            assert label in of_bytes[name][begin:end] or begin == end, name


def test_quirk_brackets_of_json_that_are_one_token_for_pygments_are_two_here():
    family = next(family for family in POSITIONS if family.name == "bracket_depth")
    assert labels_of(family, "json", '{"a": [|1|]|}')[1:] == [("1", "2"), ("]", "2"), ("}", "1")]


def test_quirk_a_percent_sign_that_ends_a_latex_text_is_labelled():
    family = next(family for family in POSITIONS if family.name == "code")
    assert labels_of(family, "latex", "x| %") == [("x", "text"), (" %", "error")]


def test_broken_code_is_labelled_to_its_end():
    """stdlib's tokenize raises on it; a document may well be half a file."""
    family = next(family for family in POSITIONS if family.name == "code")
    assert labels_of(family, "python", "def| f|(|x|,") == [
        *(("def", "keyword"), (" f", "name_function"), ("(", "punctuation"), ("x", "name"), (",", "punctuation"))
    ]


def test_a_tagger_of_ones_own_labels_words():
    tags = {"The": "DET", "cat": "NOUN", "sat": "VERB", "oh": "UNKNOWN"}
    family = part_of_speech.family(lambda words: [tags[word] for word in words])
    assert labels_of(family, "prose", "The| c|at| sat|!| oh") == [
        ("The", "DET"),
        (" c", "NOUN"),
        ("at", "NOUN"),
        (" sat", "VERB"),
        ("!", "not_a_word"),
        (" oh", "X"),
    ]
