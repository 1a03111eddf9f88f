"""A misspelt name is answered with the one that was meant, and with none that merely shares letters."""

import pytest

from hybridlm.config.errors import closest, nearest

VERBS = ("train", "evaluate", "generate", "prepare", "compare", "replay", "plan", "inspect")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("trian", "train"), ("evalute", "evaluate"), ("plane", "plan"), ("eval", "evaluate"), ("inpsect", "inspect")],
)
def test_a_name_that_is_misspelt_or_cut_off(name, meant):
    assert closest(name, VERBS) == meant
    assert nearest(name, VERBS) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize("name", ["score", "explain", "generation.prompt", "export", ""])
def test_a_name_that_merely_shares_letters(name):
    assert closest(name, VERBS) is None
    assert nearest(name, VERBS) == f"; known are {', '.join(sorted(VERBS))}"
