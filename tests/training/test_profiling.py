"""A profile spans the steps that were asked for, and its failure stops nothing."""

import jax
import pytest
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.config.operation import OperationConfig
from hybridlm.training import profiling
from hybridlm.training.profiling import Profile


@pytest.fixture
def events(monkeypatch):
    """What the profiler was told."""
    told = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda place: told.append(f"start {place}"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: told.append("stop"))
    return told


def take(events, profile, steps):
    for step in steps:
        profile.before(step, ())
        events.append(step)
    profile.close(())


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([1, 2, 3, 4, 5], [1, "start", 2, 3, "stop", 4, 5]),
        ([1, 2], [1, "start", 2, "stop"]),
        ([3, 4], [3, 4]),
    ],
    ids=["within", "cut off by the end", "resumed inside"],
)
def test_it_spans_the_steps_asked_for(events, tmp_path, steps, expected):
    take(events, Profile(OperationConfig(profile_from=2, profile_steps=2), epath.Path(tmp_path)), steps)
    assert events == [f"start {tmp_path}/profile" if event == "start" else event for event in expected]


def test_what_cannot_be_written_there_at_once_is_copied_and_nothing_is_left_behind(events, tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "is_local", lambda path: False)
    monkeypatch.setattr(profiling.tempfile, "mkdtemp", lambda: str(tmp_path / "here"))
    monkeypatch.setattr(jax.profiler, "start_trace", lambda place: epath.Path(place).mkdir())
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: (tmp_path / "here" / "trace").write_text("kernels"))
    take(events, Profile(OperationConfig(profile_from=1, profile_steps=1), epath.Path(tmp_path)), [1, 2])
    assert (tmp_path / "profile" / "trace").read_text() == "kernels"
    assert not (tmp_path / "here").exists()


def test_unless_asked_for_there_is_none(events, tmp_path):
    take(events, Profile(OperationConfig(), epath.Path(tmp_path)), range(5))
    assert events == [*range(5)]


def test_a_profiler_that_fails_stops_nothing(events, tmp_path, monkeypatch, caplog):
    def busy(_):
        raise RuntimeError("only one profile may run at a time")

    monkeypatch.setattr(jax.profiler, "start_trace", busy)
    take(events, Profile(OperationConfig(profile_from=1, profile_steps=1), epath.Path(tmp_path)), [1, 2])
    assert events == [1, 2] and "no profile is made, and the run goes on: only one profile may" in caplog.text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"profile_steps": 3}, "operation.profile_steps=3 needs operation.profile_from, the first step of it"),
        ({"hang_seconds": -1.0}, "operation.hang_seconds=-1.0 must not be negative; 0 switches it off."),
    ],
)
def test_what_cannot_be_asked_for_is_refused(fields, says):
    with pytest.raises(ConfigError, match=says):
        OperationConfig(**fields)
