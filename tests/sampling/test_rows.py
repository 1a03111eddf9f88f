"""Prompts as rows, in pictures: `?` is masked and `.` padding."""

import jax.numpy as jnp

from hybridlm.sampling.prompts import left_padded
from hybridlm.sampling.rows import continued, facts_of

MASK = 9


def picture(prompts, new, block_size):
    prompts_BP, start_B = left_padded(prompts)
    tokens_BT, end_B = continued(jnp.asarray(prompts_BP), jnp.asarray(start_B), new, MASK, block_size=block_size)
    valid_BT = facts_of(tokens_BT.shape, block_size, end_B=end_B).valid
    pairs = zip(tokens_BT.tolist(), valid_BT.tolist(), strict=True)
    return ["".join("?" if t == MASK else str(t) if v else "." for t, v in zip(*row, strict=True)) for row in pairs]


def test_prompts_begin_together_and_end_where_their_text_does():
    assert picture([[1, 2, 3], [4], [5, 6]], 2, 1) == ["123??", "4??..", "56??."]


def test_a_row_ends_with_a_block():
    assert picture([[1, 2, 3], [4], [5, 6]], 2, 4) == ["123?????", "4???....", "56??...."]


def test_gaps_of_a_prompt_stay_open():
    assert picture([[1, MASK, 3]], 0, 1) == ["1?3"]


def test_a_part_of_a_row_knows_where_it_stands():
    facts = facts_of((1, 4), 4, first=jnp.array(8), stream=1)
    assert facts.position.tolist() == [[8, 9, 10, 11]]
    assert facts.block.tolist() == [[8, 8, 8, 8]]
    assert facts.stream.tolist() == [[1, 1, 1, 1]]
