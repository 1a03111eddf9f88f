"""A run before its first step: the same from the same seed, and refused before any work where it cannot be."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from etils import epath

from hybridlm import masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import Source
from hybridlm.config.storage import override
from hybridlm.sharding import placement
from hybridlm.training.session import check, first_state, open_session
from tests.end_to_end import tiny
from tests.fixtures.small_run import devices


def test_a_fresh_state_depends_on_the_seed_alone(session, experiment, tmp_path):
    other = dataclasses.replace(session, experiment=override(experiment, {"seed": 1}))
    first, again, seeded = (first_state(one).params for one in (session, session, other))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["embedding"]["tokens"], seeded["embedding"]["tokens"])


def test_a_resumed_state_is_the_one_that_was_saved(trained, text):
    with devices(1):
        state = first_state(open_session(tiny.experiment(text), trained))
    assert (int(state.step), int(state.bad)) == (20, 0)
    assert int(state.opt_state[1][0].count) == 20, "the optimizer's own clock too"


def test_what_a_checkpoint_knows_of_itself(session, prepared):
    known = session.metadata["fingerprints"]
    assert known["data"] == prepared.fingerprint
    assert known["tokenizer"] == prepared.tokenizer.sha256
    assert known["dtype"] == "float32"
    assert '"block_size": 8' in known["mask"]
    assert session.metadata["config"]["training"]["steps"] == 20


def test_the_first_step_is_not_traced_again_after_the_check(session):
    traced = []

    def step(state, batch, tables):
        traced.append(state)
        return state

    session = dataclasses.replace(session, take_step=jax.jit(step))
    check(session)
    batch, tables = session.place(session.stream.batch(0)), placement.everywhere(session.task.tables, session.mesh)
    session.take_step(first_state(session), batch, tables)
    assert len(traced) == 1


def test_weights_of_another_mask_are_refused(trained, text):
    other = tiny.experiment(text, **{"objectives.block.block_size": 4})
    with devices(1), pytest.raises(ConfigError) as refusal:
        first_state(open_session(dataclasses.replace(other, mask=masks.window(7)), trained))
    assert str(refusal.value) == (
        "checkpoint 20 was made with another mask or other objectives, so its weights mean something else here; go "
        "back to the stored values, or start afresh in a new --workdir:\n"
        "  config.mask: the run has None, this command window(left=7, right=0)\n"
        "  config.objectives.block.block_size: the run has 8, this command 4"
    )


def test_going_on_tells_from_where_to_where(trained, text, tmp_path, capsys):
    directory = epath.Path(shutil.copytree(trained, tmp_path / "run"))
    (directory / "checkpoints" / "20").rmtree()
    with devices(1):
        first_state(open_session(tiny.experiment(text), directory))
    assert "resuming at step 15 of 20, from its checkpoint\n" in capsys.readouterr().err


def test_a_checkpoint_from_before_a_value_could_be_set_has_its_default(trained, text, monkeypatch):
    with devices(1):
        opened = open_session(tiny.experiment(text), trained)
    known = opened.checkpoints.read_metadata(20)
    del known["config"]["objectives"]["ar"]["block_size"]
    known["fingerprints"]["mask"] = "without block_size"
    monkeypatch.setattr(opened.checkpoints, "read_metadata", lambda step: known)
    assert int(first_state(opened).step) == 20


def test_a_source_that_would_run_dry_is_refused(experiment, text, prepared, tmp_path):
    epochs = 20 * 24 / len(prepared.rows("train"))

    def opened(most):
        source = Source(path=str(text), max_epochs=most)
        changes = {"data.sources": (source,), "data.prepared": str(tmp_path / "data")}
        return open_session(override(experiment, changes), epath.Path(tmp_path))

    with devices(1):
        assert opened(epochs)
        with pytest.raises(ConfigError) as refusal:
            opened(1.5)
    assert str(refusal.value) == (
        f"training.steps=20 would read the source {str(text)!r} {epochs:.2f} times, and its max_epochs is 1.5. Train "
        "for fewer steps, give it a smaller share in data.mixing, more text, or a higher max_epochs."
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"mesh.data": 4},
            "mesh sizes replica=1, data=4, fsdp=1, tensor=1, sequence=1 do not multiply to the 8 devices of this run",
        ),
        ({"training.batch_rows": 20}, "fsdp = 8 does not divide; change --config.training.batch_rows=20 to one of"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused_before_any_text_is_read(changes, says, tmp_path):
    experiment = override(tiny.experiment("no-such-text"), changes)
    with pytest.raises(ConfigError, match=says):
        open_session(experiment, epath.Path(tmp_path))
    assert list(tmp_path.iterdir()) == []
