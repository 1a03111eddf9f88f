"""Twenty steps of the quickstart's objectives, number by number: whatever moves them was meant to, or is a mistake."""

import pytest

from tests.golden import regenerate


def test_twenty_steps_are_those_on_record(trained):
    found = regenerate.curve(trained)
    expected = [line.split() for line in regenerate.FILE.read_text().splitlines()]
    assert [(step, name) for step, name, _ in found] == [(int(step), name) for step, name, _ in expected]
    for (step, name, loss), (*_, record) in zip(found, expected, strict=True):
        assert loss == pytest.approx(float(record), rel=1e-4), (
            f"step {step}, {name}: {loss:.7f} nats, on record {record}. If this change is meant to move the curve, "
            f"write the new one with `{regenerate.COMMAND}` and say why in the commit."
        )
