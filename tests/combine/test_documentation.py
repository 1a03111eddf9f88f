import pathlib
import re

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "combine.md"


def test_the_examples_run_as_they_stand(capsys):
    """But for the gate of one's own, which lies in a file of the reader's."""
    evaluation, scores, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(evaluation, names)
    assert list(names["evaluation"].combinations) == ["mean", "refined"]
    exec(scores, {})
    assert re.fullmatch(r"\d\.\d\d nats, 0\.\d\d of it the first expert's\n", capsys.readouterr().out)
    assert len(scores.splitlines()) <= 25
