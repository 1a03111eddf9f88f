"""Names of machines, and what is said of names that are none."""

import re

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.planning import chips


@pytest.mark.parametrize(("text", "count"), [("v5e:16x16", 256), ("v5p:4x4x8", 128), ("h100:8", 8), ("cpu:1", 1)])
def test_a_name_counts_its_chips(text, count):
    topology = chips.parse(text)
    assert topology.count == count
    assert str(topology) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("v5x:8", "--topology=v5x:8 names no chip that is known; known are cpu, h100, v5e"),
        ("a100:8", "--topology=a100:8 names no chip that is known; did you mean 'h100'?"),
        ("v4:16", "--topology=v4:16 names no chip that is known; known are cpu, h100, v5e, v5p, v6e"),
        ("v5e", "--topology=v5e has no shape; write how many chips there are, as in v5e:16x16"),
        ("v5e:16x", "--topology=v5e:16x has no shape"),
        ("h100:0", "--topology=h100:0 has no shape"),
        (
            "v5e:256",
            "has 1 axes, and a machine of v5e is wired along 2; its name counts chips along each, as in",
        ),
        ("v5p:8x8", "has 2 axes, and a machine of v5p is wired along 3"),
        ("h100:2x4", "has 2 axes, and a machine of h100 is wired along 1"),
    ],
)
def test_refused(text, why):
    with pytest.raises(ConfigError, match=re.escape(why)):
        chips.parse(text)
