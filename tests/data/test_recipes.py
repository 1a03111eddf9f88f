"""A recipe has the files of label families in it, since an edited one gives other labels."""

from hybridlm.config.data import DataConfig
from hybridlm.config.sources import Source
from hybridlm.data import recipes


def test_rows_depend_on_the_file_of_label_families(importable):
    (importable / "text.txt").write_text("Some text.")
    config = DataConfig(sources=(Source(path=str(importable / "text.txt")),), label_modules=("families_of_rows",))
    found = []
    for text in ("shout = str.isupper", "shout = str.isupper", "shout = str.islower"):
        (importable / "families_of_rows.py").write_text(text)
        found.append(recipes.of(config, 0))
    assert found[0] == found[1] != found[2]
    assert {name for name in found[0] if found[0][name] != found[2][name]} == {"the file of families_of_rows"}
