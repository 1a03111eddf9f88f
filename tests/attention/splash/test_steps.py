"""The flat list of visits against pictures of the blocks it comes from."""

import jax.numpy as jnp

from hybridlm.attention.splash.steps import listed

ROWS = [["fp.", "...", "..p"], ["f..", "ff.", "fff"]]


def read(*rows):
    """Visits as (batch row, row, column, what): its class, ( first and ) last of a row of blocks."""
    classes = jnp.array([[[".pf".index(block) for block in line] for line in row] for row in rows], jnp.int8)
    steps = listed(classes)
    visits = [map(int, steps.read(code)) for code in steps.code[: steps.count]]
    return [(*place, ".pf"[kind] + "(" * first + ")" * last) for *place, kind, first, last in visits]


def test_visits_go_row_by_row_and_say_where_a_row_of_blocks_begins_and_ends():
    assert read(*ROWS) == [
        (0, 0, 0, "f("),
        (0, 0, 1, "p)"),
        (0, 1, 0, ".()"),  # sees nothing, and is visited once to say so
        (0, 2, 2, "p()"),
        (1, 0, 0, "f()"),
        (1, 1, 0, "f("),
        (1, 1, 1, "f)"),
        (1, 2, 0, "f("),
        (1, 2, 1, "f"),
        (1, 2, 2, "f)"),
    ]


def test_a_gap_is_jumped_over():
    assert [visit[2:] for visit in read(["f.fp.."])] == [(0, "f("), (2, "f"), (3, "p)")]
