"""What cannot run is refused before any work, and a refused run leaves everything as it was."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from hybridlm import masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import Objective, autoregressive, masked_diffusion, uniform_diffusion
from hybridlm.config.storage import override
from hybridlm.objectives import single
from hybridlm.storage import workdir
from hybridlm.training import optimizers, run, session
from hybridlm.training import step as steps
from tests.end_to_end import tiny
from tests.fixtures.small_run import devices


def likelihood(reductions, inputs):
    """The NLL, by the general path."""
    return reductions.log_sum_exp - reductions.target_logit


def by_the_general_path(name, objective, text, ids, key, *, sample=None):
    """A user's own builder: autoregression whose per-token loss is made of streamed reductions."""
    inputs = single.build(name, autoregressive(), text, ids, key, sample=sample)
    return dataclasses.replace(inputs, loss=likelihood)


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (masks.custom(lambda q, k: q.depht >= k.depht), "reads depht"),
        (masks.dense(np.ones((7, 7), bool)), "this config cannot be run"),
    ],
)
def test_a_mask_that_cannot_be_is_refused_and_the_directory_stays_free(experiment, tmp_path, mask, why):
    bad = dataclasses.replace(experiment, mask=mask)
    with pytest.raises(ConfigError, match=why):
        run.train(bad, tmp_path / "run")
    assert not (tmp_path / "run" / workdir.CONFIG).exists()
    assert not (tmp_path / "run" / workdir.VOCABULARY).exists()


SCHEDULES = "tests.diffusion.test_schedules"


@pytest.mark.parametrize(
    ("objective", "read", "why"),
    [
        (masked_diffusion(f"{SCHEDULES}:falls"), False, "^objectives.main: schedule .* must never fall, since noise"),
        (uniform_diffusion(f"{SCHEDULES}:stops_short"), True, "^evaluation.readings.read.objective: .* would lack the"),
        (autoregressive(builder="no_such:thing"), False, "^objectives.main.builder='no_such:thing' could not be"),
    ],
)
def test_what_an_objective_imports_is_looked_at_before_any_text_is_read(tmp_path, objective, read, why):
    readings = {"read": Reading(objective=objective if read else autoregressive())}
    base = tiny.experiment(tmp_path / "no text")
    bad = dataclasses.replace(
        base, objectives={"main": objective}, evaluation=dataclasses.replace(base.evaluation, readings=readings)
    )
    with devices(1), pytest.raises(ConfigError, match=why):
        run.train(bad, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model.attention_backend": "cudnn"}, "^model.attention_backend='cudnn': .* cuDNN runs on NVIDIA GPUs"),
        ({"evaluation.families": ("digit",)}, "^evaluation.families names 'digit', .*; did you mean 'digits'"),
    ],
)
def test_what_only_this_machine_or_its_code_can_refuse_is_refused_before_any_text_is_read(tmp_path, changes, why):
    with devices(1), pytest.raises(ConfigError, match=why):
        run.train(override(tiny.experiment(tmp_path / "no text"), changes), tmp_path / "run")


def test_a_mask_that_cannot_be_stored_is_refused(experiment, tmp_path):
    bad = dataclasses.replace(experiment, mask=masks.dense(lambda q, k: q.index >= k.index))
    with pytest.raises(ConfigError, match="a config must be storable, and its mask is not"):
        run.train(bad, tmp_path / "run")


def test_a_reading_may_not_be_called_like_another_column(experiment, tmp_path):
    readings = {"digits": Reading(objective=autoregressive())}
    bad = dataclasses.replace(experiment, evaluation=dataclasses.replace(experiment.evaluation, readings=readings))
    with pytest.raises(ConfigError, match="digits, which name other columns of the report"):
        run.train(bad, tmp_path / "run")


def test_a_loss_of_streamed_reductions_takes_the_same_step_as_the_fast_path(experiment, tmp_path):
    streamed = Objective(builder=f"{__name__}:by_the_general_path")
    ends = []
    for objective in (autoregressive(), streamed):
        own = dataclasses.replace(experiment, objectives={"ar": objective})
        with devices(1):
            opened = session.open_session(own, epath.Path(tmp_path))
        state = session.first_state(opened)
        optimizer = optimizers.make(experiment.optimizer, experiment.training.steps)
        take = jax.jit(steps.make(own, opened.task, optimizer))
        batch = opened.place(opened.stream.batch(0))
        ends.append(take(take(state, batch, opened.task.tables), batch, opened.task.tables))
        opened.checkpoints.close()
    fast, general = (jax.tree.leaves(end.params) for end in ends)
    for a, b in zip(fast, general, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(ends[0].sums.rounded_PC, ends[1].sums.rounded_PC, rtol=1e-5)


def test_after_patience_is_over_good_steps_do_not_hide_it(experiment, tmp_path):
    """Otherwise a streak that ends before the next log would never be seen."""
    opened = session.open_session(experiment, epath.Path(tmp_path))
    optimizer = optimizers.make(experiment.optimizer, experiment.training.steps)
    take = jax.jit(steps.make(experiment, opened.task, optimizer))
    state = session.first_state(opened)
    spent = dataclasses.replace(state, bad_in_row=jnp.int32(experiment.training.patience))
    batch = opened.place(opened.stream.batch(0))
    after = take(spent, batch, opened.task.tables)
    assert int(after.bad_in_row) == experiment.training.patience + 1
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(after.params)))
    assert int(take(state, batch, opened.task.tables).bad_in_row) == 0
    opened.checkpoints.close()
