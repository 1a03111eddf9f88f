"""Chunks visit the tokens that are needed, and few others, whatever the largest chunk is that memory would hold."""

import jax
import jax.numpy as jnp
import pytest

from hybridlm.scoring.chunks import LEAST, Split, anywhere, at_once, sweep

TOKENS = 1 << 16


def visited(needed_BT, chunk):
    """How many tokens are visited, and the mark that each visit leaves."""

    def visit(count, marks_ZU):
        return count + marks_ZU.shape[1], marks_ZU + 1

    return jax.jit(lambda needed_BT: sweep(visit, 0, jnp.zeros(needed_BT.shape), needed_BT, Split(1, chunk, anywhere)))(
        needed_BT
    )


@pytest.mark.parametrize("chunk", [LEAST, TOKENS // 2, TOKENS])
@pytest.mark.parametrize("every", [2, 4, 64])
def test_a_large_chunk_does_not_take_tokens_along_that_nobody_needs(every, chunk):
    needed_BT = (jnp.arange(TOKENS) % every == 0).reshape(8, -1)
    count, marks_BT = visited(needed_BT, chunk)
    assert int(needed_BT.sum()) <= count < int(needed_BT.sum()) + TOKENS // 16
    assert marks_BT[needed_BT].all()


def test_where_all_are_needed_a_chunk_is_as_large_as_it_may_be():
    assert at_once(32_768, TOKENS, dense=True) == 32_768
    assert at_once(2 * TOKENS, TOKENS, dense=True) == TOKENS


def test_where_some_are_needed_chunks_are_whole_tiles_of_the_kernel_and_never_tiny():
    assert at_once(32_768, TOKENS, dense=False) == TOKENS // 16
    assert at_once(32_768, 16 * 3000, dense=False) == 3072
    assert at_once(32_768, 8192, dense=False) == LEAST
    assert at_once(32_768, 600, dense=False) == 600
    assert at_once(1024, TOKENS, dense=False) == 1024
