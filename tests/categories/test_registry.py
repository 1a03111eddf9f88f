"""Modules that register families are imported by name, and one that cannot be is named with the reason."""

import importlib

import numpy as np
import pytest

from hybridlm.categories import registry
from hybridlm.categories.family import by_position
from hybridlm.config.errors import ConfigError


def test_a_module_that_cannot_be_imported_is_refused(importable):
    (importable / "half_written_labels.py").write_text("from nowhere_at_all import labels")
    for name, reason in {"no_labels": "no_labels", "half_written_labels": "nowhere_at_all"}.items():
        with pytest.raises(ConfigError) as refused:
            registry.load((name,))
        assert str(refused.value) == (
            f"data.label_modules names {name!r}, which cannot be imported: ModuleNotFoundError: No module named "
            f"{reason!r}. It is the dotted name of a Python file that registers families of labels; is the folder it "
            "is counted from on PYTHONPATH?"
        )


def labelled_by(compile, rule="first"):
    return by_position(name="own", question="Own?", labels={"no": "none", "yes": "one"}, rule=rule, compile=compile)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        (
            labelled_by(lambda document: np.zeros(len(document.ids_N))),
            "family 'own' must give one label per character, 23 of them, but its shape is (8,); its rule is 'first'.",
        ),
        (
            labelled_by(lambda document: np.zeros(len(document.text)), rule="token"),
            "family 'own' must give one label per token, 8 of them, but its shape is (23,); its rule is 'token'.",
        ),
        (
            labelled_by(lambda document: np.full(len(document.text), 2)),
            "family 'own' gave labels 0 to 2, but it declares 0 to 1.",
        ),
        (
            labelled_by(lambda document: {"english": 1}[document.language]),
            "family 'own' failed on a made-up document, 'The café has 7 tables.\\n' of no language: KeyError: ''. Its "
            "`compile` is given every document of the data, whatever its text and language; give what the question "
            "does not concern label 0.",
        ),
    ],
)
def test_a_family_that_does_not_label_as_it_declares_is_refused_before_any_text_is_read(family, text):
    before = registry.families()
    with pytest.raises(ConfigError) as refused:
        registry.register(family)
    assert str(refused.value) == text and registry.families() == before


def test_a_module_refused_for_one_family_can_be_imported_once_it_is_mended(importable, monkeypatch):
    """The families before the wrong one are forgotten with it."""
    text = """
import importlib
import sys

import numpy as np
from hybridlm.categories.family import by_position
from hybridlm.categories.registry import register
for name, labels in {"aa": 0, "bb": WRONG}.items():
    register(by_position(name=name, question="Own?", labels={"no": "none", "yes": "one"}, rule="first",
                         compile=lambda document, labels=labels: np.full(len(document.text), labels)))
"""
    (importable / "two_families.py").write_text(text.replace("WRONG", "7"))
    monkeypatch.setattr(registry, "_own", [])
    for _ in range(2):
        with pytest.raises(ConfigError, match="family 'bb' gave labels 0 to 7"):
            registry.load(("two_families",))
        assert registry.own() == ()
    (importable / "two_families.py").write_text(text.replace("WRONG", " 1"))
    importlib.invalidate_caches()
    registry.load(("two_families",))
    assert registry.own() == ("aa", "bb")
