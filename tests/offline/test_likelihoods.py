"""What a harness is told is what `evaluate` writes of the same tokens, and no other kind of number passes for it."""

import dataclasses

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.offline.continuations import requests
from hybridlm.offline.likelihoods import likelihoods
from hybridlm.offline.opened import open_model
from tests.fixtures.small_run import devices


@pytest.fixture(scope="module")
def opened(trained):
    with devices(1):
        return open_model(trained, overrides={"evaluation.batch_rows": "4"})


@pytest.fixture(scope="module")
def short(whole, opened):
    """Numbers of documents that one row holds; the last token is the end, which is no text."""
    sizes = np.bincount(whole.document_T)
    return np.flatnonzero((sizes > 12) & (sizes < opened.experiment.data.row_length))[:6].tolist()


def test_a_whole_text_costs_what_its_tokens_cost(opened, whole, short):
    texts = [whole.texts[n].decode() for n in short]
    found = likelihoods(opened)(requests(opened.tokenizer, [("", text) for text in texts]))
    for number, (value, is_greedy) in zip(short, found, strict=True):
        here = (whole.document_T == number) & (whole.byte_end_T > whole.byte_start_T)
        assert value == pytest.approx(-whole.columns["score/ar"][here].sum(dtype=np.float64), rel=1e-5)
        assert is_greedy == whole.columns["correct/ar"][here].all()


def test_a_continuation_costs_what_its_tokens_cost_behind_the_context(opened, whole, short):
    texts = [whole.texts[n].decode() for n in short]
    cuts = [len(text) * 2 // 3 for text in texts]
    pairs = [(text[:cut], text[cut:]) for text, cut in zip(texts, cuts, strict=True)]
    found = likelihoods(opened, "ar")(requests(opened.tokenizer, pairs))
    for number, (context, _), (value, _) in zip(short, pairs, found, strict=True):
        is_after = whole.byte_end_T > len(context.rstrip().encode())
        here = (whole.document_T == number) & is_after & (whole.byte_end_T > whole.byte_start_T)
        assert value == pytest.approx(-whole.columns["score/ar"][here].sum(dtype=np.float64), rel=1e-5)


def test_a_long_text_is_the_sum_over_its_windows(opened):
    (request,) = requests(opened.tokenizer, [("", "The old dog walks behind the river. " * 3)])
    room, length = opened.experiment.data.row_length - 1, len(request.ids)
    assert 2 * room < length < 3 * room
    starts = [(0, 0, room), (room, room, 2 * room), (length - room, 2 * room, length)]
    parts = [request._replace(ids=request.ids[begin:end], first=first - begin) for begin, first, end in starts]
    (value, _), *found = likelihoods(opened)([request, *parts])
    assert value == pytest.approx(sum(part for part, _ in found), rel=1e-6)


REFUSED = {
    "masked": "reading='masked' is no exact reading from left to right: its values are of kind 'share' or of some",
    "prefix": "reading='prefix' is no exact reading from left to right: its values are of kind 'exact' or of some",
    "arr": "reading='arr' is no reading of this model",
}


@pytest.mark.parametrize(("reading", "says"), REFUSED.items(), ids=REFUSED)
def test_readings_that_a_harness_would_average_wrongly_are_refused(opened, reading, says):
    with pytest.raises(ConfigError, match=says):
        likelihoods(opened, reading)


def test_a_model_without_any_is_refused(opened):
    evaluation = opened.experiment.evaluation
    readings = {"masked": evaluation.readings["masked"]}
    experiment = dataclasses.replace(opened.experiment, evaluation=dataclasses.replace(evaluation, readings=readings))
    with pytest.raises(ConfigError, match="none of the readings masked goes from left to right"):
        likelihoods(dataclasses.replace(opened, experiment=experiment))
