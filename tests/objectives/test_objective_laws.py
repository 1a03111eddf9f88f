"""What holds for every objective, whatever it predicts."""

import inspect
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm import masks
from hybridlm.config import objective as named
from hybridlm.facts.head import Head
from hybridlm.facts.tokens import as_dict
from hybridlm.masks import materialize
from hybridlm.objectives import single
from hybridlm.objectives.text import from_batch
from hybridlm.scoring.nll import weighted_nll


def test_no_named_objective_is_left_out_of_these_tests(objectives):
    functions = inspect.getmembers(named, inspect.isfunction)
    constructors = {name for name, function in functions if function.__annotations__["return"] is named.Objective}
    assert {name.split()[0] for name in objectives} == constructors


def test_the_page_about_objectives_says_of_each_what_its_record_says(objectives):
    page = (pathlib.Path(__file__).parents[2] / "docs" / "objectives.md").read_text()
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")
    ]
    for constructor, layout, corruption, streams, predicts, _, _, kind, _ in rows:
        record = eval(constructor, vars(named))
        assert [layout, corruption, streams, predicts] == [
            str(getattr(record, field)) for field in ("layout", "corruption", "streams", "predicts")
        ]
        assert kind == single.part("one", record).kind.label
    assert {row[0].partition("(")[0] for row in rows} == {name.split()[0] for name in objectives}


def test_every_counted_token_is_a_target_once_and_the_others_never(draw, objective, batch):
    inputs = draw(objective)
    places = np.asarray(inputs.target_index_BT)
    counted = places[places >= 0]
    for part in range(len(inputs.parts)):
        stretches = places.reshape(inputs.part_BX.size, -1)[np.asarray(inputs.part_BX).reshape(-1) == part]
        once = stretches[stretches >= 0]
        assert len(set(once)) == len(once) > 0
    np.testing.assert_array_equal(np.asarray(inputs.targets_BT)[places >= 0], batch["tokens"].reshape(-1)[counted])
    is_text = (batch["segment_ids"] > 0) & (batch["positions"] > 0)
    assert is_text.reshape(-1)[counted].all(), "BOS or padding is a target"
    assert not np.any(np.asarray(inputs.targets_BT)[places < 0])


def test_targets_begin_where_it_is_said(draw, objective, batch):
    """A clean stream that only is seen, is known to predict nothing."""
    inputs, length = draw(objective), batch["tokens"].shape[1]
    is_idle = objective.streams == 2 and not objective.has_two_losses
    assert inputs.first_target == (length if is_idle else 0)
    assert not np.any(np.asarray(inputs.target_index_BT)[:, : inputs.first_target] >= 0)


def test_bos_and_padding_are_never_corrupted(draw, objective, batch):
    noisy = np.asarray(draw(objective).inputs_BT)[:, -batch["tokens"].shape[1] :]
    untouchable = (batch["segment_ids"] == 0) | (batch["positions"] == 0)
    np.testing.assert_array_equal(noisy[untouchable], batch["tokens"][untouchable])


def test_weights_are_finite_and_lie_on_targets_alone(draw, objective):
    inputs = draw(objective)
    train, score = np.asarray(inputs.train_weight_BT), np.asarray(inputs.score_weight_BT)
    assert np.isfinite(train).all()
    assert np.isfinite(score).all()
    assert np.all(score >= 0)
    assert not np.any(score[np.asarray(inputs.target_index_BT) < 0])
    np.testing.assert_array_equal(train > 0, score > 0)
    if objective.corruption in ("none", "all", "spans"):
        np.testing.assert_allclose(train.sum(), 1, rtol=1e-6)


def test_noise_lies_between_clean_and_all_masked(draw, objective):
    noise = np.asarray(draw(objective).noise_BT)
    assert np.all((noise >= 0) & (noise <= 1))
    assert (noise.max() == 0) == (objective.corruption in ("none", "spans"))


@jax.jit
def gradient(hidden_BTD, kernel_VD, targets_BT, weight_BT):
    """Of the training loss, with respect to the hidden states."""

    def loss(hidden_BTD):
        return weighted_nll(hidden_BTD, Head(kernel_VD), targets_BT, weight_BT, chunk=96, dense=False)[0]

    return jax.grad(loss)(hidden_BTD)


def test_only_weighted_positions_get_a_gradient(draw, objective, ids):
    random, inputs = np.random.default_rng(0), draw(objective)
    hidden_BTD, kernel_VD = (jnp.asarray(random.normal(size=s), jnp.float32) for s in [(1, 96, 3), (ids.size, 3)])
    size = inputs.targets_BT.size
    targets, weight = (np.zeros((1, 96), x.dtype) for x in (inputs.targets_BT, inputs.train_weight_BT))
    targets[0, :size], weight[0, :size] = inputs.targets_BT.reshape(-1), inputs.train_weight_BT.reshape(-1)
    np.testing.assert_array_equal(np.abs(gradient(hidden_BTD, kernel_VD, targets, weight)).max(-1) > 0, weight > 0)


def test_what_stands_under_padding_changes_nothing(draw, objective, batch, ids):
    def built(tokens_under_padding, positions_under_padding):
        is_padding = batch["segment_ids"] == 0
        changed = batch | {
            "tokens": np.where(is_padding, tokens_under_padding, batch["tokens"]),
            "positions": np.where(is_padding, positions_under_padding, batch["positions"]),
        }
        changed = from_batch({name: jnp.asarray(column) for name, column in changed.items()})
        return single.build("one", objective, changed, ids, jax.random.key(0))

    one, other = draw(objective), built(17, np.arange(batch["tokens"].shape[1]))
    for name in ("targets_BT", "target_index_BT", "train_weight_BT", "score_weight_BT"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    is_valid = np.asarray(one.facts.valid) == 1
    np.testing.assert_array_equal(np.asarray(one.inputs_BT)[is_valid], np.asarray(other.inputs_BT)[is_valid])
    both = is_valid[:, :, None] & is_valid[:, None, :]
    sees = [np.asarray(materialize(inputs.mask, inputs.facts)) for inputs in (one, other)]
    np.testing.assert_array_equal(sees[0] & both, sees[1] & both)


def test_the_same_key_draws_the_same_and_another_key_another(objective, text, ids):
    def built(seed):
        return jax.tree.leaves(single.build("one", objective, text, ids, jax.random.key(seed)))

    first, again, other = built(0), built(0), built(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    is_random = objective.corruption not in ("none", "all") or objective.layout in ("prefix", "random_order")
    assert is_random != all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_named_mask_shows_what_the_one_rule_shows(draw, objective):
    inputs = draw(objective)
    if objective.across_documents:
        assert inputs.mask == masks.causal()
        return
    rule = masks.unified() & masks.window(*objective.window) if objective.window else masks.unified()
    rule = materialize(rule, inputs.facts)
    np.testing.assert_array_equal(materialize(inputs.mask, inputs.facts), rule)
    assert set(inputs.mask.facts) <= set(as_dict(inputs.facts))
