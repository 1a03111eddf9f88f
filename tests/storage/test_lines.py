"""Lines that a kill cut off are none; the rest comes back as it was written."""

from etils import epath

from hybridlm.storage import lines


def test_a_line_without_its_end_is_left_out(tmp_path):
    path = epath.Path(tmp_path) / "metrics.jsonl"
    assert lines.read(path) == []
    lines.Lines(path, ["1\n"]).append("2\n")
    assert lines.read(path) == ["1\n", "2\n"]
    lines.Lines(path, ["1\n", "2\n"]).append('{"step": 3, "los')
    assert lines.read(path) == ["1\n", "2\n"]
