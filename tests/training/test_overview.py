"""What a run says of itself before its first step."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.objective import autoregressive
from hybridlm.evaluation import task as tasks
from hybridlm.models import size
from hybridlm.sharding import distributed, placement
from hybridlm.sharding import mesh as meshes
from hybridlm.training import overview
from hybridlm.training import state as states


@pytest.fixture(scope="module")
def state(session):
    """All that is asked of a state is its parameters."""
    nothing = dict.fromkeys([field.name for field in dataclasses.fields(states.TrainState)])
    return states.TrainState(**nothing | {"params": tasks.abstract_params(session.task)})


def test_it_names_sizes_mesh_rows_mask_and_attention(session, state, capsys):
    flops = overview.show(session, state)
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert f"parameters {size.count(state.params):,} " in said
    assert "embedding/tokens 304 x 32 9,728" in said
    assert "mesh 1 x cpu: replica 1, data 1, fsdp 1, tensor 1, sequence 1" in said
    assert re.search(
        r"768 tokens of text in 16 rows of 64 positions, each two rows of text or one beside its noisy copy "
        r"\(ar \d+, prefix \d+, block \d+, masked \d+\)",
        said,
    )
    assert "mask unified() says who may attend to whom (docs/masks.md)" in said
    assert "log nats per token of each objective every 1 steps, the mean since the line before; by kind of" in said
    assert "attention dense: not cudnn:" in said
    assert "head logits of 1,024 tokens at once (not a Hopper GPU)" in said
    assert f"work {flops:.3g} FLOP a step" in said
    assert f"fingerprint {session.metadata['fingerprints']['data'][:12]}" in said


def test_work_lies_between_that_of_the_weights_alone_and_that_of_seeing_everything(session, state):
    model, vocab = session.task.model, session.task.vocab_size
    head = 6 * model.padded_vocab(vocab) * model.width
    weights, everything = (size.flops_per_token(model, vocab, visible) for visible in (0, 64))
    assert 16 * 64 * (weights - head) < overview.show(session, state) < 16 * 64 * everything


def test_a_mask_that_leaves_targets_nothing_to_see_is_warned_of(session, state, caplog):
    overview.show(session, state)
    assert not caplog.messages
    hides = masks.custom(lambda q, k: q.stream == 0)
    overview.show(dataclasses.replace(session, experiment=dataclasses.replace(session.experiment, mask=hides)), state)
    (warning,) = caplog.messages
    assert warning.startswith("objective 'block': 100.0% of its targets (")
    assert f"in the first batch) are predicted where the mask {masks.unified() & hides!r} shows no token" in warning


def test_only_the_first_process_speaks(session, state, capsys, monkeypatch):
    monkeypatch.setattr(distributed, "is_primary", lambda: False)
    assert overview.show(session, state) > 0
    assert capsys.readouterr().err == ""


def test_a_process_looks_at_the_first_batch_without_the_others(session):
    """Rows that lie on devices of two processes can be read by neither, and a question that one asks alone hangs."""
    one = dataclasses.replace(session.experiment, objectives={"ar": autoregressive()})
    mesh = meshes.make(MeshConfig(data=2), jax.devices()[:2])
    divided = placement.placer(mesh, one.training.batch_rows)
    inputs = overview._first_inputs(dataclasses.replace(session, experiment=one, mesh=mesh, place=divided))
    assert {device for leaf in jax.tree.leaves(inputs) for device in leaf.devices()} == {jax.devices()[0]}
    np.testing.assert_array_equal(inputs.inputs_BT, session.stream.batch(0)["tokens"])
