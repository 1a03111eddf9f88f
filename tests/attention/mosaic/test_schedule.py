"""In which order tiles are computed: every tile once, as many heads at a time as the cache holds the columns of."""

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.attention.block_lists import BlockLists
from hybridlm.attention.mosaic import schedule
from hybridlm.attention.mosaic.schedule import Schedule
from hybridlm.attention.mosaic.tiles import Tiles

BATCH, HEADS, ROWS = 2, 6, 4
NOTHING = jnp.zeros((1, ROWS), int)
LISTS = BlockLists(jnp.array([[3, 2, 1, 0]]), NOTHING, NOTHING, jnp.zeros((1, ROWS, 1), int), NOTHING)


def visited(columns_bytes, monkeypatch):
    """(batch, head, index) in order."""
    monkeypatch.setattr(schedule, "CACHE", 60)
    all_tiles = Schedule(HEADS, ROWS, BATCH, Tiles(64, 2), columns_bytes)
    found = [all_tiles._tile(LISTS, jnp.array(number), jnp.array(0)) for number in range(all_tiles.count)]
    return np.array([(tile.batch, tile.head, tile.index) for tile in found])


@pytest.mark.parametrize("columns_bytes", [1, 10, 15, 20, 30, 1000])
def test_every_tile_is_computed_once(columns_bytes, monkeypatch):
    found = visited(columns_bytes, monkeypatch)
    everything = [(batch, head, index) for batch in range(BATCH) for head in range(HEADS) for index in range(ROWS)]
    assert sorted(map(tuple, found.tolist())) == everything


def test_heads_take_turns_when_the_cache_holds_the_columns_of_three(monkeypatch):
    _, head, index = visited(16, monkeypatch)[: HEADS * ROWS].T
    assert head.tolist() == [0, 1, 2] * ROWS + [3, 4, 5] * ROWS
    assert index.tolist() == 2 * [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(("columns_bytes", "together"), [(1, 6), (10, 6), (15, 3), (29, 2), (31, 1), (1000, 1)])
def test_so_many_heads_are_computed_at_once(columns_bytes, together, monkeypatch):
    monkeypatch.setattr(schedule, "CACHE", 60)
    assert Schedule(HEADS, ROWS, BATCH, Tiles(64, 2), columns_bytes).together == together


@pytest.mark.parametrize("processors", [5, 1000])
def test_the_table_of_rounds_has_a_column_for_each_thread_block(processors, monkeypatch):
    monkeypatch.setattr(schedule, "processors", lambda: processors)
    count = BATCH * HEADS * ROWS
    in_turn, at_once = (Schedule(HEADS, ROWS, BATCH, Tiles(64, 2, is_so), 1) for is_so in (True, False))
    table = np.asarray(in_turn.work(LISTS).rounds)
    assert table.shape == (-(-count // min(processors, count)), min(processors, count))
    assert sorted(table[table >= 0]) == list(range(count))
    assert at_once.thread_blocks == count and at_once.work(LISTS).rounds is None
