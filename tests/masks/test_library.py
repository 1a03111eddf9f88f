"""Every named mask against its picture, at its limits, and under the one rule that covers the field."""

import inspect
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.facts import tokens
from hybridlm.masks import library

PACKED = {"lengths": [4, 1], "T": 6, "block": 2, "prefix_length": [2, 1], "length": [5] * 6}
TWO_STREAMS = {"lengths": [4], "T": 4, "block": 2, "streams": 2}
DRAWN = {
    "causal": (masks.causal(), PACKED),
    "bidirectional": (masks.bidirectional(), PACKED),
    "prefix": (masks.prefix(), PACKED),
    "window": (masks.window(2, 1), PACKED),
    "same_segment": (masks.same_segment(), PACKED),
    "valid": (masks.valid(), PACKED),
    "padding": (masks.padding(), PACKED),
    "block_causal": (masks.block_causal(), PACKED),
    "block_diffusion": (masks.block_diffusion(), TWO_STREAMS),
    "chunk": (masks.chunk(3), PACKED),
    "strided": (masks.strided(2), PACKED),
    "unified": (masks.unified(), PACKED),
}
"""Every named mask, and the row of tokens its docstring draws it on."""
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "masks.md"


def picture(name):
    return "\n".join(re.findall(r"^[1.](?: [1.])+$", inspect.getdoc(getattr(library, name)), re.MULTILINE))


def dense(mask, facts):
    return np.asarray(masks.materialize(mask, facts))[0]


def same(left, right, facts):
    np.testing.assert_array_equal(masks.materialize(left, facts), masks.materialize(right, facts))


def test_every_mask_of_the_library_is_drawn():
    public = {name for name, value in vars(library).items() if getattr(value, "__module__", "") == library.__name__}
    assert {name for name in public if not name.startswith("_")} == {*DRAWN, "custom", "dense"}


@pytest.mark.parametrize("name", DRAWN)
def test_picture(name, row):
    mask, tokens_drawn = DRAWN[name]
    drawn = "\n".join(" ".join("1" if sees else "." for sees in line) for line in dense(mask, row(**tokens_drawn)))
    assert drawn == picture(name)


@pytest.mark.parametrize("name", DRAWN)
def test_the_documentation_shows_the_same_picture_under_the_name(name):
    drawn, lines = picture(name).splitlines(), DOCS.read_text().splitlines()
    (above,) = [number for number, line in enumerate(lines) if re.match(rf"    (.* )?{name}\(", line)]
    column = lines[above].index(f"{name}(")
    below = lines[above + 1 : above + 1 + len(drawn)]
    assert [line[column:].partition("   ")[0].strip() for line in below] == drawn


def test_the_examples_of_the_documentation_run():
    example = DOCS.read_text().partition("```python\n")[2].partition("```")[0]
    lines = [line for line in example.splitlines() if line.startswith(("masks.", "(masks."))]
    built = [eval(line, {"masks": masks}) for line in lines]
    assert len(set(built)) == len(built) == 5


def test_arguments_and_facts_say_the_same(row):
    facts = row([6], T=6, block=4, prefix_length=[4])
    same(masks.prefix(4), masks.prefix(), facts)
    same(masks.block_causal(4), masks.block_causal(), facts)


def test_limits(row):
    facts = row([6], T=6)
    same(masks.window(5, 5), masks.bidirectional(), facts)
    same(masks.window(5), masks.causal(), facts)
    same(masks.chunk(1), masks.window(0), facts)
    same(masks.chunk(6), masks.bidirectional(), facts)
    same(masks.block_causal(1), masks.causal(), facts)
    same(masks.block_causal(6), masks.bidirectional(), facts)
    same(masks.strided(6), masks.window(0), facts)
    same(masks.prefix(0), ~masks.bidirectional(), facts)


def test_a_window_counts_the_other_tokens(row):
    sees = dense(masks.causal() & masks.window(3), row([6], T=6))
    np.testing.assert_array_equal(sees.sum(1), [1, 2, 3, 4, 4, 4])


def test_packed_documents_are_separate_sequences(row):
    mask = masks.causal() & masks.window(2) & masks.same_segment() & masks.valid()
    first, second = dense(mask, row([3], T=6)), dense(mask, row([2], T=6))
    expected = np.zeros((6, 6), bool)
    expected[:3, :3], expected[3:5, 3:5] = first[:3, :3], second[:2, :2]
    np.testing.assert_array_equal(dense(mask, row([3, 2], T=6)), expected)


def test_dense_takes_an_array_or_a_function(row):
    array = np.random.default_rng(0).random((6, 6)) < 0.5
    facts = row([6], T=6)
    np.testing.assert_array_equal(dense(masks.dense(array), facts), array)
    assert masks.dense(array) == masks.dense(array.copy())
    assert masks.dense(array) != masks.dense(~array)
    parity = masks.dense(lambda q, k: (q.position * k.position) % 2 == 1)
    odd = np.arange(6) % 2 == 1
    np.testing.assert_array_equal(dense(parity & masks.causal(), facts), np.tril(odd[:, None] & odd))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: masks.window(-1), r"window(-1, 0) counts other tokens on each side, so neither may be negative."),
        (lambda: masks.window(1, -2), r"window(1, -2) counts other tokens"),
        (lambda: masks.chunk(0), "`q.position // 0`: divide by a positive constant."),
        (lambda: masks.strided(-3), "`(q.position - k.position) % -3`: divide by a positive constant."),
        (lambda: masks.dense(np.ones((2, 2), np.int32)), "takes a boolean array [T, S], True where the query may see"),
        (
            lambda: masks.dense(np.ones((1, 2, 2), bool)),
            "got bool with shape (1, 2, 2). Masks that differ between rows",
        ),
    ],
)
def test_refused_arguments(build, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        build()


# The one rule


def within(mask):
    return mask & masks.same_segment() & masks.valid()


LENGTHS, PREFIXES = [4, 3, 1, 2], np.array([2, 0, 1, 2])
PREFIX_LM = masks.causal() | masks.prefix()


def prefix_blocks(lengths, prefixes, T):
    """The prefix of a document is one block, and every token after it a block of its own; ids run on."""
    blocks, start = [], 0
    for length, prefix in zip(lengths, prefixes):
        blocks += [start + max(0, position - prefix + 1) for position in range(length)]
        start += length
    return [*blocks, *range(start, T)]


def test_unified_is_causal_where_every_token_is_a_block(row):
    same(masks.unified(), within(masks.causal()), row(LENGTHS, T=12))


def test_unified_is_bidirectional_where_a_document_is_a_block(row):
    same(masks.unified(), within(masks.bidirectional()), row(LENGTHS, T=12, block=12))


def test_unified_is_prefix_lm_where_the_prefix_is_a_block(row):
    prefixes = [PREFIXES, np.zeros(4, int), np.array(LENGTHS)]
    facts = tokens.concatenate(
        [row(LENGTHS, T=12, block_ids=prefix_blocks(LENGTHS, n, 12), prefix_length=n) for n in prefixes], axis=0
    )
    same(masks.unified(), within(PREFIX_LM), facts)
    assert np.asarray(masks.materialize(masks.unified(), facts)).sum((1, 2)).tolist() == [22, 20, 30]


def test_unified_is_block_causal_where_blocks_run_on(row):
    same(masks.unified(), within(masks.block_causal()), row(LENGTHS, T=12, block=3))
    same(masks.unified(), within(masks.block_causal(3)), row(LENGTHS, T=12, block=3))


def block_diffusion_by_the_paper(T, block, streams, segments):
    """M_BD, M_OBC and M_BC of BD3-LM (2503.09573, §3.1), element by element, over clean tokens and noisy copies."""
    sees = np.zeros((streams * T, streams * T), bool)
    for i in range(streams * T):
        for j in range(streams * T):
            (q_stream, q), (k_stream, k) = divmod(i, T), divmod(j, T)
            if segments[q] != segments[k] or segments[k] == 0:
                continue
            q_block, k_block = block[q], block[k]
            block_diagonal = q_stream > 0 and q_stream == k_stream and q_block == k_block
            offset_block_causal = q_stream > 0 and k_stream == 0 and q_block > k_block
            block_causal = q_stream == 0 and k_stream == 0 and q_block >= k_block
            sees[i, j] = block_diagonal or offset_block_causal or block_causal
    return sees


@pytest.mark.parametrize("streams", [2, 4])
@pytest.mark.parametrize("lengths", [[12], LENGTHS])
def test_unified_is_block_diffusion_over_a_clean_and_noisy_streams(streams, lengths, row):
    facts = row(lengths, T=12, block=3, streams=streams)
    expected = block_diffusion_by_the_paper(12, facts.block[0, :12].tolist(), streams, facts.segment[0, :12].tolist())
    np.testing.assert_array_equal(dense(masks.unified(), facts), expected)
    same(masks.unified(), within(masks.block_diffusion()), facts)


def test_unified_does_not_care_which_stream_is_stored_first(row):
    clean_first = row([12], T=12, block=4, streams=2)
    swapped = jax.tree.map(lambda column: jnp.roll(column, 12, axis=1), clean_first)
    expected = np.roll(dense(masks.unified(), clean_first), (12, 12), axis=(0, 1))
    np.testing.assert_array_equal(dense(masks.unified(), swapped), expected)


def test_one_batch_mixes_rows_of_two_documents_with_rows_of_two_streams(row):
    plain = row([12, 10], T=24)
    diffusion = row([12], T=12, block=4, streams=2)
    together = np.asarray(masks.materialize(masks.unified(), tokens.concatenate([plain, diffusion], axis=0)))
    np.testing.assert_array_equal(together[0], dense(within(masks.causal()), plain))
    np.testing.assert_array_equal(together[1], dense(masks.block_diffusion(), diffusion))
