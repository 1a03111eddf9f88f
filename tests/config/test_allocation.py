"""Rows per objective: whole units, shares near the ratios, spread evenly over the step."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, prefix_lm
from hybridlm.config.rows import allocate

MAKE = (
    autoregressive,
    masked_diffusion,
    lambda **fields: prefix_lm(0.2, 0.6, **fields),
    lambda **fields: block_diffusion(4, **fields),
)
CHOICES = st.lists(st.tuples(st.sampled_from(range(len(MAKE))), st.floats(0.05, 20)), min_size=1, max_size=4)


def mixture(choices):
    return {f"number {n}": MAKE[kind](ratio=ratio) for n, (kind, ratio) in enumerate(choices)}


@settings(max_examples=100)
@given(choices=CHOICES, batch_rows=st.integers(8, 200))
def test_all_rows_are_given_out_in_whole_network_rows(choices, batch_rows):
    objectives = mixture(choices)
    found = allocate(objectives, batch_rows)
    assert sum(found.rows.values()) == batch_rows
    assert found.streams == max(objective.streams for objective in objectives.values())
    wide = {
        name: Fraction(found.rows[name] * objective.streams, found.streams) for name, objective in objectives.items()
    }
    assert all(count.denominator == 1 and count >= 1 for count in wide.values())
    assert found.wide == sum(wide.values()) == len(found.order)
    assert [found.order.count(number) for number in range(len(objectives))] == list(wide.values())


@settings(max_examples=100)
@given(choices=CHOICES, batch_rows=st.integers(8, 200))
def test_shares_of_possible_targets_are_the_ratios_up_to_a_few_rows(choices, batch_rows):
    objectives = mixture(choices)
    found = allocate(objectives, batch_rows)
    wanted = {name: objective.ratio / objective.targets_per_token for name, objective in objectives.items()}
    exact = {name: batch_rows * want / sum(wanted.values()) for name, want in wanted.items()}
    raised = sum(max(0, 2 - rows) for rows in exact.values())  # given a first unit that their ratio would not buy
    for name, rows in found.rows.items():
        assert abs(rows - exact[name]) <= 2 + raised


@settings(max_examples=50)
@given(choices=CHOICES, batch_rows=st.integers(8, 200))
def test_any_beginning_of_a_step_holds_every_objective_by_its_share(choices, batch_rows):
    objectives = mixture(choices)
    found = allocate(objectives, batch_rows)
    for number in range(len(objectives)):
        share = found.order.count(number) / found.wide
        for length in range(found.wide + 1):
            assert abs(found.order[:length].count(number) - share * length) <= 0.5 + len(objectives) / 2


def test_a_small_ratio_gets_a_row_and_the_large_one_gives_it():
    objectives = {"most": autoregressive(ratio=100.0), "some": masked_diffusion(), "few": prefix_lm()}
    assert allocate(objectives, 4).rows == {"most": 2, "some": 1, "few": 1}


@pytest.mark.parametrize(
    ("objectives", "batch_rows", "rows", "order"),
    [
        ({"ar": autoregressive()}, 3, {"ar": 3}, (0, 0, 0)),
        (
            {"ar": autoregressive(ratio=3.0), "mlm": masked_diffusion()},
            8,
            {"ar": 6, "mlm": 2},
            (0, 0, 1, 0, 0, 0, 1, 0),
        ),
        # a prefix that covers half of a document leaves half as many targets, so it takes twice the rows
        ({"ar": autoregressive(), "prefix": prefix_lm(0.5, 0.5)}, 6, {"ar": 2, "prefix": 4}, (1, 0, 1, 1, 0, 1)),
        # one stream beside two: two rows of text share a network row
        ({"ar": autoregressive(), "block": block_diffusion(4)}, 8, {"ar": 4, "block": 4}, (1, 0, 1, 1, 0, 1)),
    ],
)
def test_examples(objectives, batch_rows, rows, order):
    found = allocate(objectives, batch_rows)
    assert (found.rows, found.order) == (rows, order)
