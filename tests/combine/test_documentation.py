import pathlib
import re

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.combine.context import FIELDS, context
from hybridlm.combine.gates import gate

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "combine.md"


def test_the_examples_run_as_they_stand(capsys):
    evaluation, scores, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(evaluation, names)
    assert list(names["evaluation"].combinations) == ["mean", "refined"]
    exec(scores, {})
    assert re.fullmatch(r"\d\.\d\d nats, 0\.\d\d of it the first expert's\n", capsys.readouterr().out)
    assert len(scores.splitlines()) <= 25


def test_the_gate_of_ones_own_is_one(importable):
    """As its file stands, under the name by which the page calls it."""
    *_, source, call = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (name,) = re.findall(r'gate="(.*?)"', call)
    file = importable / source.splitlines()[0].removeprefix("# ")
    file.parent.mkdir()
    file.write_text(source)
    sure, unsure = [0.9, 0.1, 0.0001], [0.4, 0.3, 0.3]
    known = context(jnp.log(jnp.array([sure, unsure])), jnp.log(jnp.array([unsure, unsure])), jnp.zeros(3))
    np.testing.assert_array_equal(gate(name)(known, None), [0, 1])


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_context_is_in_the_table(field):
    assert re.search(rf"^\|[^|]*`{field}`", PAGE.read_text(), re.MULTILINE)
