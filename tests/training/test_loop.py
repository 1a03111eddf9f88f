"""What happens when: steps, lines, checkpoints, readings and the ways out, told as a list of events."""

import dataclasses
import itertools
import json
import math
import threading

import jax
import jax.numpy as jnp
import optax
import pytest
from etils import epath

from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.storage import override
from hybridlm.data.stream import TrainStream
from hybridlm.storage.checkpoints import Checkpoints
from hybridlm.training import logs, loop
from hybridlm.training import state as states
from hybridlm.training import step as steps
from hybridlm.training.anomalies import Window
from hybridlm.training.goodput import Goodput
from hybridlm.training.signals import Preempted, Preemption
from hybridlm.training.watch import Watch
from hybridlm.training.writers import Writers

CHANGES = {"training.steps": 7, "training.log_every": 2, "checkpoint.every": 3, "optimizer.warmup": 1}


class Story:
    """A session whose step does nothing but count; everything it is asked to do is written down."""

    def __init__(self, session, changes=CHANGES, bad_from=99):
        self.events, self.rates, self.held, self.stops = [], [], [], []
        story = self

        class Saves(Checkpoints):
            def __init__(self):
                pass

            def save(self, step, state, metadata):
                story.events.append(("save", step))
                story.stops += [step] if metadata["memory"]["goodput"]["is_stop"] else []

            def poll(self):
                pass

            def hold_back(self, before, at_most):
                story.held.append((before, at_most))
                return 3

            def settle(self):
                pass

            def close(self):
                story.events.append(("close",))

        class Lines(Writers):
            def __init__(self):
                pass

            def write(self, step, scalars):
                is_line = "train/grad_norm" in scalars
                story.events.append(("line" if is_line else "reading", step))
                story.rates += [scalars["train/learning_rate"]] if is_line else []

        @jax.jit
        def take_step(state, batch, tables):
            is_bad = (state.step + 1 >= bad_from).astype(jnp.int32)
            return dataclasses.replace(
                state,
                step=state.step + 1,
                bad_in_row=(state.bad_in_row + 1) * is_bad,
                loss=jnp.where(is_bad, jnp.nan, state.step + 1.0),
            )

        self.session = dataclasses.replace(
            session,
            experiment=override(session.experiment, dict(changes)),
            take_step=take_step,
            checkpoints=Saves(),
        )
        self.writers = Lines()
        labels = steps.label_count(session.experiment, session.task)
        self.state = states.start({"w": jnp.zeros(2)}, optax.sgd(1.0), len(session.experiment.objectives), labels)

    def run(self, preemption=None):
        return loop.run(
            self.session,
            self.state,
            self.writers,
            Watch(preemption or Asked(), Goodput()),
            0.0,
            lambda state: {"validation/loss": 1.0},
        )


class Asked(Preemption):
    """Preempted at the n-th question, if at all."""

    def __init__(self, at=99):
        super().__init__()
        self._left = at

    @property
    def requested(self):
        self._left -= 1
        return self._left < 1


def test_lines_and_checkpoints_come_when_the_config_says_and_at_the_end(session):
    story = Story(session)
    assert int(story.run().step) == 7
    assert [step for what, step in story.events if what == "line"] == [2, 4, 6, 7]
    assert [step for what, step in story.events if what == "save"] == [3, 6, 7]


def test_a_line_tells_the_rate_its_step_was_taken_at(session):
    """Seven steps: a rise from nothing in one, then a cosine from the peak of 0.01 towards a tenth of it."""
    story = Story(session)
    story.run()
    expected = [0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * place / 6)) / 2) for place in (0, 2, 4, 5)]
    assert story.rates == pytest.approx(expected)


def test_a_checkpoint_never_overtakes_the_lines_before_it(session):
    """Its sums are empty again, so a line that is not written by then would be lost with the process."""
    story = Story(session)
    story.run()
    for place, (what, step) in enumerate(story.events):
        if what == "save":
            assert {("line", n) for n in (2, 4, 6) if n <= step} <= set(story.events[:place])


def test_only_a_checkpoint_is_waited_for(session, monkeypatch):
    waits = []
    arrived = logs.Log.arrived
    monkeypatch.setattr(logs.Log, "arrived", lambda log, *, wait: waits.append(wait) or arrived(log, wait=wait))
    Story(session).run()
    assert waits == [False, False, True, False, False, True, True]


def test_the_model_is_read_between_only_when_its_state_is_safe(session):
    story = Story(session, CHANGES | {"evaluation.every": 2})
    story.run()
    assert [step for what, step in story.events if what == "reading"] == [2, 4, 6], "the end is read by the report"
    for step in (2, 4, 6):
        assert story.events.index(("save", step)) < story.events.index(("reading", step))


def test_a_notice_of_preemption_saves_and_leaves(session):
    story = Story(session)
    with pytest.raises(loop.Preempted) as stopped:
        story.run(Asked(at=5))
    assert str(stopped.value) == "stopped at step 5 with its state saved; run the same command again to go on."
    assert stopped.value.exit_code == ExitCode.PREEMPTED
    assert story.events[-2:] == [("save", 5), ("close",)]
    assert story.stops == [5], "what was saved at step 3 was no stop"


def test_a_notice_while_waiting_for_data_saves_the_last_step_taken(session, monkeypatch):
    """The fifth batch never comes; a read that hangs holds up neither the save nor the end."""
    story, never = Story(session), threading.Event()
    read = TrainStream.batch
    monkeypatch.setattr(TrainStream, "batch", lambda stream, step: (step == 4 and never.wait()) or read(stream, step))

    class Notice(Asked):
        def stop_waiting(self, why):
            if "data" in why:
                raise Preempted(why)

    with pytest.raises(loop.Preempted, match="stopped at step 4 with its state saved"):
        story.run(Notice())
    never.set()
    assert story.events[-2:] == [("save", 4), ("close",)]


def test_a_notice_before_the_first_step_saves_nothing_new(session):
    story = Story(session)

    class Notice(Asked):
        def nothing_to_save(self, why, settle=None):
            raise Preempted(why)

    with pytest.raises(loop.Preempted, match="stopped after step 0, which is saved."):
        story.run(Notice())
    assert story.events == []


def test_steps_that_are_not_finite_or_spikes_leave_a_file_and_the_checkpoint_before(session, tmp_path):
    story = Story(session, CHANGES | {"training.patience": 9}, bad_from=5)
    story.session = dataclasses.replace(story.session, directory=epath.Path(tmp_path))
    story.run()
    told = json.loads((tmp_path / "anomalies" / "5.json").read_text())
    assert [path.name for path in (tmp_path / "anomalies").iterdir()] == ["5.json"], "the first of those in a row"
    assert (told["odd"], told["loss"], told["checkpoint"]) == ("loss is nan", "nan", 3)
    assert told["rows"] == session.stream.global_indices(4) and told["seed"] == 0
    assert story.held == [(5, 2)]


def test_what_is_shown_of_a_step_is_its_own_however_late_it_comes(session, monkeypatch, capsys):
    """The loss of the story is the number of the step; it arrives at every fourth question alone, and at the end."""
    arrived, asked = logs.Log.arrived, itertools.count(1)
    monkeypatch.setattr(
        logs.Log, "arrived", lambda log, *, wait: arrived(log, wait=True) if wait or next(asked) % 4 == 0 else []
    )
    monkeypatch.setattr(logs, "summary", lambda scalars: f"loss {scalars['train/loss']:.0f}")
    Story(session, CHANGES | {"checkpoint.every": 9}).run()
    lines = [line.split("  ")[:2] for line in capsys.readouterr().err.splitlines()]
    assert lines == [[f"training {n}/7", f"loss {n}"] for n in (2, 4, 6, 7)]


def test_the_log_warns_of_what_is_no_number_and_of_a_loss_that_stays_up(session, tmp_path, monkeypatch, caplog):
    """The loss of the story is the number of the step; a spike, which is recorded, is not told."""
    odd, steps = {3: "a spike", 6: "loss is nan"}, itertools.count(1)
    monkeypatch.setattr(Window, "judge", lambda window, loss, norm: odd.get(next(steps), ""))
    risen = iter(["", "", "its median is 5", "its median is 5", "", "", ""])
    monkeypatch.setattr(Window, "risen", lambda window: next(risen))
    story = Story(session, CHANGES | {"training.patience": 9}, bad_from=6)
    story.session = dataclasses.replace(story.session, directory=epath.Path(tmp_path))
    story.run()
    assert sorted(path.name for path in (tmp_path / "anomalies").iterdir()) == ["3.json", "6.json"]
    assert [record.getMessage() for record in caplog.records] == [
        "step 3: the loss has gone up and stays there: its median is 5. If it does not come down again, stop, and "
        "start anew in another --workdir with a smaller --config.optimizer.learning_rate or --config.optimizer.clip. "
        f"anomalies/ in {tmp_path} names steps that stood out, for `hybridlm replay`",
        "step 6 changed nothing, since its loss is nan; training.patience=9 such steps in a row end the run. "
        f"`hybridlm replay --workdir={tmp_path} --step=6` takes it again and shows its texts",
    ]


def test_every_step_is_judged_though_few_are_logged(session, monkeypatch):
    seen = []
    monkeypatch.setattr(Window, "judge", lambda window, loss, norm: seen.append((loss, norm)) or "")
    Story(session).run()
    assert seen == [(float(n), 0.0) for n in range(1, 8)], "also those between the last line and a checkpoint, once"


def test_at_the_last_step_a_notice_comes_too_late_to_matter(session):
    story = Story(session)
    assert int(story.run(Asked(at=7)).step) == 7
    assert story.events[-1] == ("save", 7)


def test_a_run_goes_on_where_its_state_is(session):
    story = Story(session)
    story.state = dataclasses.replace(story.state, step=jnp.int32(5))
    story.session.checkpoints.read_metadata = lambda step: {}
    assert int(story.run().step) == 7
    assert story.events == [("line", 6), ("save", 6), ("line", 7), ("save", 7)]


def test_patience_ends_at_the_first_line_that_says_so(session):
    story = Story(session, CHANGES | {"training.patience": 2}, bad_from=3)
    with pytest.raises(loop.Diverged) as stopped:
        story.run()
    assert stopped.value.exit_code == ExitCode.DIVERGED
    assert "not finite for 2 steps in a row up to step 4; none was applied" in str(stopped.value)
    ways = "Lower --config.optimizer.learning_rate, set --config.optimizer.clip, or raise --config.training.patience=2"
    assert ways in str(stopped.value)
    assert [step for what, step in story.events if what == "save"] == [3]
