"""Small answers as the engines give them, and what becomes of them; together they make one comparison."""

import types

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import token_reader, token_writer
from hybridlm.reports.comparing.aligned import Source, align
from hybridlm.reports.engines import completions, lm_eval, scored, transformers, vllm
from hybridlm.reports.engines.spans import of_offsets, of_pieces
from hybridlm.reports.token_file import Header, Reading

TEXT = "The café is"
PIECES = [b"", b"The", b" caf", b"\xc3", b"\xa9", b" is"]
IDS = [1, 791, 53050, 127, 102, 374]
PROMPT_LOGPROBS = [
    None,
    {
        "791": {"logprob": -3.5, "rank": 4, "decoded_token": "The"},
        "12": {"logprob": -0.5, "rank": 1, "decoded_token": "A"},
    },
    {"53050": {"logprob": -9.25, "rank": 812, "decoded_token": " caf"}, "12": {"logprob": -1.0, "rank": 1}},
    {"127": {"logprob": -0.25, "rank": 1, "decoded_token": "\ufffd"}},
    {"102": {"logprob": 0.0, "rank": 1, "decoded_token": "é"}},
    {"374": {"logprob": -0.75, "rank": 2, "decoded_token": " is"}, "9": {"logprob": -0.7, "rank": 1}},
]
CHOICE = {
    "text": TEXT + " on",
    "logprobs": {
        "tokens": ["The", " caf", "bytes:\\xc3", "bytes:\\xa9", " is", " on"],
        "text_offset": [0, 3, 7, 7, 8, 11],
        "token_logprobs": [None, -9.0, -0.25, 0.0, -0.75, -1.0],
        "top_logprobs": [
            None,
            {" car": -1.0},
            {"bytes:\\xc3": -0.25},
            {"bytes:\\xa9": 0.0},
            {" is": -0.75},
            {" on": -1.0},
        ],
    },
}


def vllm_document():
    return vllm.score(TEXT, IDS, PROMPT_LOGPROBS, of_pieces(TEXT, PIECES))


def test_vllm():
    columns, texts = scored.columns({"doc": vllm_document()})
    assert columns["byte_start"] == [0, 3, 7, 8, 9] and columns["byte_end"] == [3, 7, 8, 9, 12]
    assert columns["position"] == [0, 1, 2, 3, 4], "the begin token stands before the text"
    assert columns["score/ar"] == [3.5, 9.25, 0.25, 0.0, 0.75]
    assert columns["rank/ar"] == [4, 812, 1, 1, 2]
    assert columns["correct/ar"] == [False, False, True, True, False]
    assert np.round(columns["confidence/ar"], 3).tolist() == [0.607, 0.368, 0.779, 1.0, 0.497]
    assert columns["group"] == ["doc"] * 5 and texts == {"doc": TEXT}


def test_vllm_objects_read_like_their_json():
    objects = [
        options and {int(token): types.SimpleNamespace(**fields) for token, fields in options.items()}
        for options in PROMPT_LOGPROBS
    ]
    assert vllm.score(TEXT, IDS, objects, of_pieces(TEXT, PIECES)).values == vllm_document().values


def test_vllm_refuses_what_belongs_to_another_prompt():
    with pytest.raises(ConfigError, match="vLLM gave 6 prompt_logprobs for 5 tokens with 6 spans"):
        vllm.score(TEXT, IDS[1:], PROMPT_LOGPROBS, of_pieces(TEXT, PIECES))
    with pytest.raises(ConfigError, match="prompt_logprobs hold no entry of the prompt's token 792"):
        vllm.score(TEXT, [1, 792, *IDS[2:]], PROMPT_LOGPROBS, of_pieces(TEXT, PIECES))


def test_completions():
    columns, _ = scored.columns({"doc": completions.score(TEXT, CHOICE)})
    assert columns["byte_start"] == [0, 3, 7, 7, 9] and columns["byte_end"] == [3, 7, 7, 9, 12]
    assert columns["score/ar"] == [None, 9.0, 0.25, 0.0, 0.75], "what was generated is left out"
    assert columns["correct/ar"] == [None, False, True, True, True]


def test_a_server_without_echo_is_told():
    """It answers with what it generated alone, and harnesses that do not look score everything at chance."""
    logprobs = {"tokens": [" on"], "text_offset": [0], "token_logprobs": [-1.0], "top_logprobs": [None]}
    with pytest.raises(ConfigError, match="it did not echo the prompt, so these are not its log-probabilities"):
        completions.score(TEXT, {"text": " on", "logprobs": logprobs})


def test_completions_refuse_offsets_that_do_not_fit():
    wrong = CHOICE["logprobs"] | {"text_offset": [0, 4, 7, 7, 8, 11]}
    with pytest.raises(ConfigError, match="the token 'The' is said to stand at character 0, where the text has 'The '"):
        completions.score(TEXT, CHOICE | {"logprobs": wrong})
    long = CHOICE["logprobs"] | {
        "text_offset": [0, 3, 7, 7, 8, 14],
        "tokens": ["The", " caf", "bytes:", "bytes:", " is on"],
    }
    with pytest.raises(ConfigError, match="the token ' is on' is said to stand|the last token of the prompt runs on"):
        completions.score(TEXT, CHOICE | {"logprobs": long})


def test_transformers():
    """Against the definition, id by id."""
    ids_T, logits_TV = np.array([0, 2, 1, 2]), np.random.default_rng(0).normal(0, 3, (4, 5)).astype(np.float32)
    found = transformers.score("abc", ids_T, logits_TV, of_offsets("abc", [(0, 0), (0, 1), (1, 2), (2, 3)])).values
    for n in range(1, 4):
        p_V = np.exp(logits_TV[n - 1].astype(float))
        p_V /= p_V.sum()
        assert found["score"][n] == pytest.approx(-np.log(p_V[ids_T[n]]))
        assert found["entropy"][n] == pytest.approx(-(p_V * np.log(p_V)).sum())
        assert found["rank"][n] == sorted(p_V, reverse=True).index(p_V[ids_T[n]]) + 1
        assert found["correct"][n] == (p_V.argmax() == ids_T[n]) and found["confidence"][n] == pytest.approx(p_V.max())
    assert found["score"][0] is None, "nothing predicts the first token"


def test_transformers_with_an_id_that_is_never_predicted():
    logits_TV = np.array([[0.0, -np.inf, 0.0], [0.0, 0.0, 0.0]])
    found = transformers.score("a", np.array([0, 2]), logits_TV, of_offsets("a", [(0, 0), (0, 1)])).values
    assert found["entropy"][1] == pytest.approx(np.log(2))


def test_transformers_refuse_shifted_logits():
    with pytest.raises(
        ConfigError, match="there are 2 ids, 1 rows of logits and 2 spans; pass those of one text, unshifted"
    ):
        transformers.score("a", np.array([0, 2]), np.zeros((1, 3)), of_offsets("a", [(0, 0), (0, 1)]))


NEW = {"arguments": {"gen_args_0": {"arg_0": "The café", "arg_1": " is"}}, "resps": [[["-0.75", "False"]]]}
OLD = {"arguments": [["The café", " is"]], "resps": [[[-0.75, False]]]}


@pytest.mark.parametrize("sample", [NEW, OLD])
def test_lm_eval(sample):
    columns, texts = scored.columns({"doc": lm_eval.score(sample)})
    assert (columns["byte_start"], columns["byte_end"], columns["score/ar"]) == ([9], [12], [0.75])
    assert columns["correct/ar"] == [False] and texts == {"doc": TEXT}


def test_lm_eval_rolling():
    sample = {"arguments": {"gen_args_0": {"arg_0": TEXT}}, "resps": [["-14.0"]]}
    assert scored.columns({"doc": lm_eval.score(sample)})[0]["score/ar"] == [14.0]


def test_lm_eval_refuses_generation():
    sample = {"arguments": {"gen_args_0": {"arg_0": TEXT, "arg_1": {"until": ["."]}}}, "resps": [["on."]]}
    with pytest.raises(ConfigError, match="the sample is of a task that generates"):
        lm_eval.score(sample)


def test_engines_compare_with_each_other(tmp_path):
    """A sum that the harness kept, beside vLLM's tokens of the same bytes."""
    sources = []
    for name, document in {"vllm": vllm_document(), "lm_eval": lm_eval.score(NEW)}.items():
        header = Header(readings={"ar": Reading()}, tokenizer=name, checkpoint="m", code=name)
        path = tmp_path / f"{name}.parquet"
        token_writer.write(path, header, *scored.columns({"doc": document}))
        sources.append(Source(name, token_reader.read(path), "ar"))
    found = align(sources)
    assert found.unit == "byte" and found.count_T.tolist() == [3.0]
    assert found.cost["vllm"].tolist() == found.cost["lm_eval"].tolist() == [0.75]
