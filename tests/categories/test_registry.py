"""Modules that register families are imported by name, and one that cannot be is named with the reason."""

import pytest

from hybridlm.categories import registry
from hybridlm.config.errors import ConfigError


def test_a_module_that_cannot_be_imported_is_refused(tmp_path, monkeypatch):
    (tmp_path / "half_written_labels.py").write_text("from nowhere_at_all import labels")
    monkeypatch.syspath_prepend(tmp_path)
    for name, reason in {"no_labels": "no_labels", "half_written_labels": "nowhere_at_all"}.items():
        with pytest.raises(ConfigError) as refused:
            registry.load((name,))
        assert str(refused.value) == (
            f"data.label_modules names {name!r}, which cannot be imported: ModuleNotFoundError: No module named "
            f"{reason!r}. It is the dotted name of a Python file that registers families of labels; is the folder it "
            "is counted from on PYTHONPATH?"
        )
