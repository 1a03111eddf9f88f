"""What training and evaluation share: ids, labels, and a head that starts at the unigram."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.config.storage import override
from hybridlm.evaluation import task as tasks
from hybridlm.facts.head import logits
from hybridlm.objectives import single
from hybridlm.objectives.text import from_batch
from hybridlm.scoring.nll import weighted_nll
from hybridlm.sharding import placement
from hybridlm.sharding.mesh import make as make_mesh


def test_a_vocabulary_of_another_size_is_refused(experiment, prepared):
    own = override(experiment, {"data.tokenizer": "tokenizer.json", "model.vocab_size": 999})
    with pytest.raises(ConfigError) as refused:
        tasks.task_of(own, prepared.vocabulary)
    assert str(refused.value) == (
        "model.vocab_size=999 is not the tokenizer's vocabulary of 300 ids, so some ids would have no embedding or "
        "never occur; leave model.vocab_size at 0, and pad with model.vocab_multiple."
    )


def test_an_untrained_model_costs_what_the_unigram_costs(task):
    """Where the hidden state is zero, the logits are the bias."""
    head = tasks.head(task, tasks.init(task, jax.random.key(0)))
    log_probs = jax.nn.log_softmax(logits(head, jnp.zeros(32)))
    can = np.isfinite(task.unigram_V)
    np.testing.assert_allclose(-log_probs[:300][can], task.unigram_V[can], rtol=1e-5)
    assert (np.exp(log_probs[:300][~can]) == 0).all() and (~can).sum() == 3, "padding, BOS and the mask token"
    assert (np.exp(log_probs[300:]) == 0).all() and len(log_probs) == 304, "and ids no tokenizer has"


def test_an_end_that_is_also_the_beginning_is_predicted(experiment):
    """GPT-2 opens and ends its texts with one token; never predicted, every end of a document would cost the world."""
    pieces = (b"a", b"b", b"", b"", b"")
    special = {"bos": 2, "eos": 2, "pad": 3, "mask": 4}
    task = tasks.make(experiment, pieces, np.array([5, 3, 2, 0, 0]), special, ("prose",))
    head = tasks.head(task, tasks.init(task, jax.random.key(0)))
    assert np.flatnonzero(np.exp(jax.nn.log_softmax(logits(head, jnp.ones(32))))).tolist() == [0, 1, 2]


def test_labels_are_those_of_the_families_behind_all(task, session):
    batch = {name: jnp.asarray(column) for name, column in session.stream.batch(0).items()}
    labels_MBT = np.asarray(tasks.labels(task.tables, batch["tokens"], batch))
    names = tasks.label_names(task.tables)
    assert (labels_MBT[0] == 0).all() and names[0] == ("all", "all")
    for labels_BT, family in zip(labels_MBT[1:], task.tables.families, strict=True):
        assert {names[label][0] for label in np.unique(labels_BT)} == {family.name}
    digits = labels_MBT[1 + [family.name for family in task.tables.families].index("digits")]
    token_bytes = session.vocabulary.tokenizer.token_bytes
    for token, label in zip(np.ravel(batch["tokens"]), digits.ravel()):
        assert (names[label][1] == "none") == (not any(48 <= byte <= 57 for byte in token_bytes[token]))


def test_columns_follow_the_target_to_where_it_is_predicted(task, session):
    batch = {name: jnp.asarray(column) for name, column in session.stream.batch(0).items()}
    inputs = single.build("ar", autoregressive(), from_batch(batch), task.ids, jax.random.key(0))
    found = tasks.target_columns(inputs, batch, ("word_band", "language"))
    assert set(found) == {"word_band", "language"}
    predicts = np.asarray(inputs.target_index_BT[:, :-1] >= 0)
    for name, column in found.items():
        np.testing.assert_array_equal(column[:, :-1][predicts], batch[name][:, 1:][predicts])
    assert predicts.sum() > 100


@pytest.fixture(scope="module")
def two_streams(task, session):
    """A network in an unrolled loop, its parameters, and inputs whose left half is only seen."""
    batch = {name: jnp.asarray(column) for name, column in session.stream.batch(0).items()}
    inputs = single.build("block", block_diffusion(8), from_batch(batch), task.ids, jax.random.key(0))
    unrolled = dataclasses.replace(task, model=dataclasses.replace(task.model, loop="unroll"))
    return unrolled, tasks.init(task, jax.random.key(1)), inputs


def test_a_clean_stream_that_is_only_seen_is_left_out_and_the_loss_is_the_same(two_streams):
    task, params, inputs = two_streams

    @jax.jit
    def gradient(params, inputs):
        def loss(params):
            h_BTD, head = tasks.hidden(task, params, inputs), tasks.head(task, params)
            split = {"chunk": 1024, "dense": False}
            return weighted_nll(h_BTD, head, inputs.targets_BT, inputs.train_weight_BT, **split)[0], h_BTD

        return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, h_BTD), found = gradient(params, inputs)
    (whole_loss, whole_BTD), expected = gradient(params, dataclasses.replace(inputs, first_target=0))
    length = inputs.first_target
    assert (h_BTD[:, :length] == 0).all() and (whole_BTD[:, :length] != 0).any(-1).all()
    np.testing.assert_allclose(h_BTD[:, length:], whole_BTD[:, length:], atol=1e-5)
    np.testing.assert_allclose(loss, whole_loss, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)


CUT = {"rows whole": ({"fsdp": 2, "tensor": 2}, True), "rows cut": ({"sequence": 2}, False)}


@pytest.mark.parametrize(("sizes", "is_left_out"), CUT.values(), ids=CUT)
def test_a_row_that_devices_share_is_not_cut_again(two_streams, sizes, is_left_out):
    """Else the half that is left would first have to be spread over them anew."""
    task, params, inputs = two_streams
    where = make_mesh(MeshConfig(**{"data": 1} | sizes), jax.devices()[: math.prod(sizes.values())])
    spread = placement.spread_over(where)
    h_BTD = jax.jit(functools.partial(tasks.hidden, task, constrain=spread["constrain"], plan=spread["plan"]))(
        params, inputs
    )
    length = inputs.first_target
    assert (h_BTD[:, :length] == 0).all() == is_left_out
    np.testing.assert_allclose(h_BTD[:, length:], tasks.hidden(task, params, inputs)[:, length:], atol=1e-5)


def test_bytes_are_counted_for_every_id(task, session):
    assert task.byte_lengths_V.tolist() == [len(token) for token in session.vocabulary.tokenizer.token_bytes]


def test_shapes_are_those_of_fresh_parameters(task):
    found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tasks.abstract_params(task))
    assert found == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tasks.init(task, jax.random.key(0)))
