"""Functions written for FlexAttention, as people write them, with numpy arrays where torch tensors stood."""

import functools
import re

import numpy as np
import pytest

from hybridlm import masks

document_id = np.array([1, 1, 1, 1, 2, 2, 2, 0])
WINDOW = 2


def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def sliding_window_causal(b, h, q_idx, kv_idx):
    causal_mask = q_idx >= kv_idx
    window_mask = q_idx - kv_idx <= WINDOW
    return causal_mask & window_mask


def document(b, h, q_idx, kv_idx):
    return document_id[q_idx] == document_id[kv_idx]


def document_causal(b, h, q_idx, kv_idx):
    return document(b, h, q_idx, kv_idx) & causal(b, h, q_idx, kv_idx)


def prefix_lm(prefix_length):
    def prefix_mask(b, h, q_idx, kv_idx):
        return kv_idx < prefix_length[b]

    def prefix_lm_causal(b, h, q_idx, kv_idx):
        return prefix_mask(b, h, q_idx, kv_idx) | (q_idx >= kv_idx)

    return prefix_lm_causal


def and_masks(*mask_mods):
    def and_mask(b, h, q_idx, kv_idx):
        result = b.new_ones((), dtype=bool)
        for mask in mask_mods:
            result = result & mask(b, h, q_idx, kv_idx)
        return result

    return and_mask


def or_masks(*mask_mods):
    def or_mask(b, h, q_idx, kv_idx):
        result = b.new_zeros((), dtype=bool)
        for mask in mask_mods:
            result = result | mask(b, h, q_idx, kv_idx)
        return result

    return or_mask


def generate_doc_mask_mod(mask_mod, document_id, offsets):
    def doc_mask_mod(b, h, q_idx, kv_idx):
        same_doc = document_id[q_idx] == document_id[kv_idx]
        q_logical = q_idx - offsets[document_id[q_idx]]
        kv_logical = kv_idx - offsets[document_id[kv_idx]]
        inner_mask = mask_mod(b, h, q_logical, kv_logical)
        return same_doc & inner_mask

    return doc_mask_mod


@pytest.fixture
def packed(row):
    facts = row([4, 3], T=8, prefix_length=[2] * 8, start=[0, 4])
    np.testing.assert_array_equal(facts.segment[0], document_id)
    return facts


def dense(mask, facts):
    return np.asarray(masks.materialize(mask, facts))[0]


def over_all_pairs(mask_mod):
    """The oracle: the function itself on every pair, as FlexAttention would call it."""
    batch = type("Batch", (int,), {"new_ones": lambda *_, **__: True, "new_zeros": lambda *_, **__: False})(0)
    return np.array([[bool(mask_mod(batch, 0, q, k)) for k in range(8)] for q in range(8)])


STARTS = np.array([7, 0, 4])
PREFIX = np.array([2])
DOCUMENT = {"document_id": "segment"}
TAKEN = {
    "causal": (causal, {}),
    "sliding window": (sliding_window_causal, {}),
    "document": (document, DOCUMENT),
    "document through a helper": (document_causal, DOCUMENT),
    "prefix-LM": (prefix_lm(PREFIX), {"prefix_length": "prefix_length"}),
    "and_masks": (and_masks(sliding_window_causal, document), DOCUMENT),
    "or_masks of and_masks": (
        or_masks(and_masks(causal, document), prefix_lm(PREFIX)),
        {**DOCUMENT, "prefix_length": "prefix_length"},
    ),
    "documents around an inner mask": (
        generate_doc_mask_mod(sliding_window_causal, document_id, STARTS),
        {**DOCUMENT, "offsets": "start"},
    ),
    "documents around a closure": (
        generate_doc_mask_mod(prefix_lm(PREFIX), document_id, STARTS),
        {**DOCUMENT, "offsets": "start", "prefix_length": "prefix_length"},
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_mask_mod_is_taken_over(name, packed):
    mask_mod, facts = TAKEN[name]
    real = packed.segment[0] > 0  # padding has no start
    found = dense(masks.from_mask_mod(mask_mod, facts=facts), packed)
    np.testing.assert_array_equal(found[real][:, real], over_all_pairs(mask_mod)[real][:, real])


def test_masks_that_say_the_same_are_equal():
    assert masks.from_mask_mod(causal) == masks.causal()
    assert masks.from_mask_mod(sliding_window_causal) == masks.causal() & masks.custom(
        lambda q, k: q.index - k.index <= 2
    )
    assert masks.from_mask_mod(document, facts=DOCUMENT) == masks.same_segment()
    prefix = masks.from_mask_mod(prefix_lm(PREFIX), facts={"prefix_length": "prefix_length"})
    assert prefix == masks.causal() | masks.custom(lambda q, k: k.index < k.prefix_length)


def test_a_tensor_with_a_batch_axis_is_read_at_b_and_a_token():
    ids = document_id[None]
    mask = masks.from_mask_mod(lambda b, h, q, k: ids[b, q] == ids[b, k], facts={"ids": "segment"})
    assert mask == masks.same_segment()


def test_the_function_itself_is_left_alone():
    masks.from_mask_mod(document_causal, facts=DOCUMENT)
    assert document(0, 0, 0, 1)
    assert not document(0, 0, 0, 4)


ids, other = document_id, document_id


def shifted(b, h, q_idx, kv_idx):
    return ids[q_idx + 1] == ids[kv_idx]


def two_kinds_of_index(b, h, q_idx, kv_idx):
    return ids[q_idx] == ids[other[kv_idx]]


@pytest.mark.parametrize(
    ("mask_mod", "facts", "error", "text"),
    [
        (
            document,
            {},
            TypeError,
            "Names it uses from outside: document_id; each tensor among them belongs into facts=",
        ),
        (document, {"documents": "segment"}, ValueError, "facts names documents, but"),
        (shifted, {"ids": "segment"}, TypeError, "an index that was computed has no column"),
        (
            two_kinds_of_index,
            {"ids": "a", "other": "b"},
            TypeError,
            "column 'a' stands for a tensor, to be read at q_idx",
        ),
        (lambda b, h, q, k: (h == 0) | (q >= k), {}, TypeError, "'h' was used in a computation. Heads cannot differ"),
        (lambda b, h, q, k: (q >= k) & (b < 2), {}, TypeError, "'b' was used in a computation"),
        (lambda b, h, q, k: ids[h] == ids[q], {"ids": "segment"}, TypeError, "to be read at q_idx or kv_idx"),
        (lambda b, h, q, k: WINDOW if q >= k else q, {}, TypeError, "has no truth value yet"),
        (functools.partial(document), DOCUMENT, ValueError, "uses only no outside names"),
    ],
)
def test_refused(mask_mod, facts, error, text):
    with pytest.raises(error, match=re.escape(text)):
        masks.from_mask_mod(mask_mod, facts=facts)
