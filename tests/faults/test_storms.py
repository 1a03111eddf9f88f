"""A small storm that anybody can have; the large one is a command of its own."""

import signal

import pytest

from tests.faults import storms
from tests.golden.every_objective import OBJECTIVES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", [storms.MIXTURE, *OBJECTIVES])
def test_signals_change_no_bit(name, tmp_path):
    found = storms.storm(name, tmp_path, {signal.SIGKILL: 2, signal.SIGTERM: 2}, seed=1)
    assert found.is_equal and found.lost_steps == 0
