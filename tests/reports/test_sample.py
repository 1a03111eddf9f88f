"""Colouring of sample text."""

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports.sample import LEVELS, Sample, level, visible


def test_colours_follow_the_cost():
    assert [level(nats) for nats in (None, 0.0, *LEVELS, 99.0)] == ["none", "0", "1", "2", "3", "4", "5", "6", "7", "7"]


def test_line_breaks_are_shown_and_kept():
    assert visible("):\n\t") == "):↵\n⇥\t"


def test_every_token_has_a_value_or_none():
    with pytest.raises(ConfigError, match="one value per token, but column 'ar' has 1 for 2 tokens; put None"):
        Sample("title", ["a", "b"], {"ar": [1.0]})
