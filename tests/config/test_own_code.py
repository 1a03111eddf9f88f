"""An edited file of one's own is another one."""

import hashlib

from hybridlm.config import own_code


def test_a_module_is_known_by_the_bytes_of_its_file(importable):
    (importable / "mine").mkdir()
    file = importable / "mine" / "gates.py"
    for text in ("def half(context): return 0.5", "def half(context): return 0.4"):
        file.write_text(text)
        assert own_code.digests(["mine.gates"]) == {"mine.gates": hashlib.sha256(text.encode()).hexdigest()}


def test_what_has_no_file_has_no_digest():
    assert own_code.digests(["sys", "nowhere_at_all", "nowhere.at.all"]) == dict.fromkeys(
        ["sys", "nowhere_at_all", "nowhere.at.all"]
    )
    assert own_code.digests([]) == {}
