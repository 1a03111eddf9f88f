"""What may be drawn, and how often: pictures of the filters, and chi-square tests of the draws."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hybridlm.config.errors import ConfigError
from hybridlm.config.sampling import GREEDY, Choice
from hybridlm.facts.head import NEVER
from hybridlm.sampling.choose import draw, filtered

P = np.array([0.1, 0.4, 0.05, 0.2, 0.25])


def kept(choice, p=P):
    """Which ids of p remain possible, as text."""
    return "".join("x" if x > NEVER else "." for x in np.asarray(filtered(jnp.log(p), choice)))


@pytest.mark.parametrize(
    ("choice", "picture"),
    [
        (Choice(), "xxxxx"),
        (GREEDY, ".x..."),
        (Choice(top_k=1), ".x..."),
        (Choice(top_k=3), ".x.xx"),
        (Choice(top_k=9), "xxxxx"),
        (Choice(top_p=0.3), ".x..."),  # the likeliest crosses 0.3 by itself, and stays
        (Choice(top_p=0.5), ".x..x"),  # 0.4, then 0.65: the token that crosses is kept
        (Choice(top_p=0.84), ".x.xx"),
        (Choice(top_p=0.86), "xx.xx"),
        (Choice(top_k=2, top_p=0.7), ".x..x"),  # of the two kept, 0.4 holds 0.62
        (Choice(top_k=2, top_p=0.6), ".x..."),
        (Choice(temperature=0.25, top_p=0.8), ".x..."),  # a sharper distribution needs fewer ids
        (Choice(temperature=4.0, top_p=0.8), "xx.xx"),
    ],
)
def test_pictures_of_what_may_be_drawn(choice, picture):
    assert kept(choice) == picture


def nucleus(p, share):
    """The fewest of the likeliest ids that hold `share`, by counting."""
    chosen, held = set(), 0.0
    for index in sorted(range(len(p)), key=lambda index: (-p[index], index)):
        if held >= share:
            break
        chosen.add(index)
        held += p[index]
    return chosen


@settings(max_examples=40)
@given(st.lists(st.integers(1, 50), min_size=6, max_size=6), st.floats(0.05, 0.99))
def test_top_p_is_the_smallest_set_that_reaches_the_share(weights, share):
    p = np.array(weights) / np.sum(weights)
    if np.min(np.abs(np.cumsum(np.sort(p)[::-1]) - share)) < 1e-5:
        return  # float32 may round either way at the very edge
    assert {n for n, mark in enumerate(kept(Choice(top_p=share), p)) if mark == "x"} == nucleus(p, share)


@pytest.mark.parametrize("choice", [Choice(), Choice(temperature=0.5), Choice(top_k=3), Choice(top_p=0.7)])
def test_draws_follow_the_filtered_distribution(choice):
    expected = np.asarray(jax.nn.softmax(filtered(jnp.log(P), choice)), np.float64)
    expected /= expected.sum()
    if choice.temperature == 0.5:
        np.testing.assert_allclose(expected, P**2 / np.sum(P**2), rtol=1e-5)
    ids = draw(jax.random.key(1), jnp.log(jnp.tile(P, (20_000, 1))), choice)
    counts = np.bincount(ids, minlength=len(P))
    possible = expected > 0
    assert counts[~possible].sum() == 0
    assert stats.chisquare(counts[possible], 20_000 * expected[possible]).pvalue > 1e-3


def test_noise_is_of_the_kind_that_resolves_the_rarest_tokens():
    logits_NV = jnp.zeros((3, 1000))
    high, low = (jax.random.categorical(jax.random.key(5), logits_NV, mode=mode).tolist() for mode in ("high", "low"))
    assert draw(jax.random.key(5), logits_NV, Choice()).tolist() == high != low


def test_no_draw_of_a_token_anywhere_is_of_the_other_kind():
    """Zheng et al., arXiv:2409.02908: noise that cuts the tail off lowers the temperature, and looks like quality."""
    modes = []
    for path in (pathlib.Path(__file__).parents[2] / "hybridlm").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("random.categorical", "random.gumbel")):
                modes.append((path.name, {one.arg: ast.unparse(one.value) for one in call.keywords}.get("mode")))
    assert len(modes) >= 4
    assert [name for name, mode in modes if mode != "'high'"] == []


def test_greedy_takes_the_first_of_equals_and_needs_no_noise():
    logits_NV = jnp.array([[0.0, 3.0, 3.0], [2.0, 1.0, NEVER]])
    for seed in range(3):
        assert draw(jax.random.key(seed), logits_NV, GREEDY).tolist() == [1, 0]


def test_bfloat16_logits_are_filtered_in_float32():
    assert filtered(jnp.zeros((2, 3), jnp.bfloat16), Choice(top_p=0.5)).dtype == jnp.float32


def test_an_id_that_is_never_predicted_is_never_drawn():
    logits_NV = jnp.tile(jnp.array([0.0, NEVER, 0.0]), (500, 1))
    assert set(np.unique(draw(jax.random.key(0), logits_NV, Choice(temperature=0.01, top_k=3)))) == {0, 2}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": -1.0}, "temperature=-1.0 must not be negative; 0 takes the likeliest token"),
        ({"top_k": -1}, "top_k=-1 counts ids that may be drawn; 0 keeps all."),
        ({"top_p": 0.0}, r"top_p=0.0 is a share of probability in \(0, 1\]"),
        ({"top_p": 1.5}, "top_p=1.5 is a share"),
    ],
)
def test_impossible_choices_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Choice(**values)
