"""Every reading is held against the plainest way to compute it: one document at a time, dense, by log-softmax."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from hybridlm.config.evaluation import Reading, standard_readings
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.objective import Objective, autoregressive, masked_diffusion, masked_lm, prefix_lm
from hybridlm.config.storage import override
from hybridlm.data.rows import Rows
from hybridlm.evaluation import kept as keeping
from hybridlm.evaluation import predictions, readings
from hybridlm.evaluation import run as evaluation
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import columns
from hybridlm.evaluation.kept import Kept
from hybridlm.evaluation.unscored import BEGIN, CONTEXT, OTHER, PADDING
from hybridlm.evaluation.values import SUMMED
from hybridlm.evaluation.windows import Windows
from hybridlm.facts.head import logits
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.tokens import one_document
from hybridlm.models import decoder
from hybridlm.objectives import single
from hybridlm.objectives.text import Ids, Text
from hybridlm.sharding import mesh as meshes
from hybridlm.sharding import placement
from hybridlm.sharding.rules import shardings

ONE_BY_ONE = Objective(layout="blocks", corruption="all", predicts="same", streams=2, block_size=1)
READINGS = {
    "ar": Reading(objective=autoregressive()),
    "nothing shown": Reading(objective=prefix_lm(0.0, 0.0)),
    "half shown": Reading(objective=prefix_lm(0.5, 0.5)),
    "one by one": Reading(objective=ONE_BY_ONE),
    "masked": Reading(objective=masked_diffusion(), samples=4),
    "masked often": Reading(objective=masked_diffusion(), samples=64),
}
ROWS = 5


@pytest.fixture(scope="module")
def sensitive(experiment):
    """Large weights, so that what a prediction sees changes it by whole nats."""
    config = dataclasses.replace(experiment.evaluation, readings=READINGS, rows=ROWS, batch_rows=3)
    return override(dataclasses.replace(experiment, evaluation=config), {"model.init_std": 0.3})


@pytest.fixture(scope="module")
def network(task, sensitive):
    """A task and its parameters."""
    task = dataclasses.replace(task, model=sensitive.model)
    return task, tasks.init(task, jax.random.key(1))


@pytest.fixture(scope="module")
def rows(session, sensitive):
    """The rows that are read, as one batch."""
    found = list(evaluation.batches(session.held_out, sensitive.evaluation))
    return {name: np.concatenate([batch[name] for batch in found])[:ROWS] for name in found[0]}


def read(network, config, rows, **how):
    task, params = network
    size = config.batch_rows
    batches = [{name: column[first : first + size] for name, column in rows.items()} for first in range(0, ROWS, size)]
    score = readings.scorer(task, config)
    return evaluation.evaluate(task, config, score, params, map(functools.partial(padded, size), batches), **how)


def padded(size, batch):
    return {name: np.pad(column, ((0, size - len(column)), (0, 0))) for name, column in batch.items()}


@pytest.fixture(scope="module")
def found(network, sensitive, rows):
    return read(network, sensitive.evaluation, rows)


def values(found, name):
    """Values of a column for every token of the text, in order."""
    return np.concatenate([batch[name] for batch in found.tokens])


def totals(found, name):
    return next(total for column, total in zip(found.columns, found.totals) if column.part.name == name)


def documents(rows):
    """Token ids of each document, or piece of one, as (row, places, ids)."""
    for row, segments in enumerate(rows["segment_ids"]):
        for segment in range(1, segments.max() + 1):
            places = np.flatnonzero(segments == segment)
            yield row, places, rows["tokens"][row, places]


@pytest.fixture(scope="module")
def log_probs(network, rows):
    """(input ids, sees [T T]) -> log probabilities [T V] of one document, which is padded to one length."""
    task, params = network
    length = rows["tokens"].shape[1]
    head = tasks.head(task, params)

    @jax.jit
    def padded(ids_T, sees_TT):
        def mix(layer, q, k, v, state):
            return jax.nn.dot_product_attention(q, k, v, mask=sees_TT[None, None]), state

        h_BTD, _ = decoder.apply(task.model, task.vocab_size, params, ids_T[None], one_document(length), mix)
        return jax.nn.log_softmax(logits(head, h_BTD))[0]

    def of(ids, sees):
        missing = length - len(ids)
        sees = np.pad(sees, (0, missing)) | np.eye(length, dtype=bool)
        return np.asarray(padded(np.pad(ids, (0, missing)), sees))[: len(ids)]

    return of


def causal(size):
    return np.tri(size, dtype=bool)


def next_token(log_probs, ids, sees):
    """Cost of every token but the first, by a loop over the places that predict them."""
    table = log_probs(ids, sees)
    return [-table[place - 1, ids[place]] for place in range(1, len(ids))]


def text_of(rows, cost_of):
    """What every token that is scored costs, in text order, by a function of a document's ids."""
    return np.concatenate([cost_of(ids) for _, _, ids in documents(rows)])


def test_autoregressive_values_are_those_of_single_documents(found, rows, log_probs):
    expected = text_of(rows, lambda ids: next_token(log_probs, ids, causal(len(ids))))
    np.testing.assert_allclose(values(found, "ar"), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.5, "the network tells tokens apart, or this test would say little"


def test_prefix_values_are_those_of_single_documents(found, rows, log_probs):
    def cost(ids):
        prefix = len(ids) // 2
        sees = causal(len(ids))
        sees[:prefix, :prefix] = True
        return [np.nan if place < prefix else nll for place, nll in enumerate(next_token(log_probs, ids, sees), 1)]

    np.testing.assert_allclose(values(found, "half shown"), text_of(rows, cost), rtol=1e-4, atol=1e-4)


def test_blocks_of_one_token_predict_each_from_all_before_it(found, task, rows, log_probs):
    def cost(ids):
        found = []
        for place in range(1, len(ids)):
            hidden = np.append(ids[:place], task.ids.mask)
            sees = causal(place + 1)
            found.append(-log_probs(hidden, sees)[place, ids[place]])
        return found

    np.testing.assert_allclose(values(found, "one by one"), text_of(rows, cost), rtol=1e-4, atol=1e-4)
    column = next(column for column in found.columns if column.part.name == "one by one")
    assert (column.part.kind, column.samples) == (ScoreKind.EXACT, 0), "nothing in it is left to chance"


def test_an_empty_prefix_is_autoregression(found):
    np.testing.assert_allclose(values(found, "nothing shown"), values(found, "ar"), rtol=1e-5, atol=1e-5)


def test_autoregression_is_read_again_on_the_targets_of_a_prefix(found):
    shown = np.isnan(values(found, "half shown"))
    np.testing.assert_array_equal(np.isnan(values(found, "ar after half shown")), shown)
    np.testing.assert_array_equal(values(found, "ar after half shown")[~shown], values(found, "ar")[~shown])
    assert 0.3 < shown.mean() < 0.7


def test_the_baseline_costs_what_training_frequencies_say(found, task):
    tokens = np.concatenate([batch["tokens"] for batch in found.tokens])
    np.testing.assert_allclose(values(found, "unigram"), task.unigram_V[tokens], rtol=1e-6)


def test_every_family_shares_out_the_same_total(found):
    families = [family for family, _ in found.labels]
    for total in found.totals:
        for family in dict.fromkeys(families):
            here = [name == family for name in families]
            np.testing.assert_array_equal(total.tokens_NC[:, here].sum(1), total.tokens_NC[:, 0])
            np.testing.assert_allclose(total.nats_NC[:, here].sum(), total.nats_NC[:, 0].sum(), rtol=1e-6)
            np.testing.assert_allclose(total.samples_KC[:, here].sum(1), total.samples_KC[:, 0], rtol=1e-5)


def test_sums_by_group_and_label_are_those_of_the_tokens(found):
    group, label = (np.concatenate([batch[name] for batch in found.tokens]) for name in ("group", "digits"))
    offset, groups = found.labels.index(("digits", "none")), np.unique(group)
    for column, total in zip(found.columns, found.totals, strict=True):
        nats = values(found, column.part.name)
        for n, c in [(group[0], label[0]), (group[-1], label[-1])]:
            here = (group == n) & (label == c) & ~np.isnan(nats)
            row = np.flatnonzero(groups == n)[0]
            assert total.tokens_NC[row, offset + c] == here.sum()
            np.testing.assert_allclose(total.nats_NC[row, offset + c], nats[here].sum(), rtol=1e-5)


def test_what_an_exact_column_says_of_a_token_is_in_its_distribution(found, network, rows, log_probs):
    task, _ = network
    never = list(task.ids.never)
    told = {name: values(found, f"{name}/ar") for name in evaluation.TOLD.values()}
    place = 0
    for _, _, ids in documents(rows):
        for table, target in zip(log_probs(ids, causal(len(ids)))[:-1], ids[1:]):
            others = np.delete(table, [target, *never])
            p = np.exp(np.delete(table, never))
            expected = {
                "entropy": special.entr(p).sum(),
                "confidence": p.max(),
                "correct": table[target] > others.max(),
                "rank": 1 + (others > table[target]).sum(),
                "margin": table[target] - others.max(),
                "brier": (p**2).sum() - 2 * np.exp(table[target]) + 1,
            }
            for name, value in expected.items():
                np.testing.assert_allclose(told[name][place], value, rtol=1e-4, atol=1e-4, err_msg=name)
            place += 1
    assert place == len(told["rank"])


def test_details_are_summed_by_group_and_label(found, network):
    group, label = (np.concatenate([batch[name] for batch in found.tokens]) for name in ("group", "digits"))
    total, c = totals(found, "ar"), found.labels.index(("digits", "none"))
    assert len(np.unique(group)) == len(total.nats_NC) > 1 and 0 < (label == 0).sum() < len(label)
    for n, number in enumerate(np.unique(group)):
        here = (label == 0) & (group == number)
        for name in ("entropy", "confidence", "brier"):
            expected = values(found, f"{name}/ar")[here].sum()
            np.testing.assert_allclose(total.details_KNC[SUMMED.index(name), n, c], expected, rtol=1e-5)
        assert total.details_KNC[SUMMED.index("accuracy"), n, c] == values(found, "correct/ar")[here].sum()
    assert totals(found, "masked").details_KNC.size == 0, "its values are means over several predictions"


def test_the_gate_is_the_cost_of_the_label_alone(found, network, rows, log_probs):
    task, _ = network
    number = [family.name for family in task.tables.families].index("digits")
    label_V, cost = task.tables.by_token_VF[:, number], {}
    for _, _, ids in documents(rows):
        for table, target in zip(log_probs(ids, causal(len(ids)))[:-1], ids[1:]):
            label = label_V[target]
            same = np.setdiff1d(np.flatnonzero(label_V == label), task.ids.never)
            cost[label] = cost.get(label, 0) - np.logaddexp.reduce(table[same])
    gate_C, first = totals(found, "ar").gate_NC.sum(0), found.labels.index(("digits", "none"))
    assert len(cost) > 1
    for label, nats in cost.items():
        np.testing.assert_allclose(gate_C[first + label], nats, rtol=1e-4)
    assert np.isnan(gate_C[found.labels.index(("domain", "prose"))]), "the domain is no class of ids"


def test_the_mass_of_a_label_is_its_probability_at_every_token(found, network, rows, log_probs):
    task, _ = network
    number = [family.name for family in task.tables.families].index("digits")
    label_V, total = task.tables.by_token_VF[:, number], 0
    for _, _, ids in documents(rows):
        p_TV = np.exp(log_probs(ids, causal(len(ids)))[:-1])
        p_TV[:, list(task.ids.never)] = 0
        total = total + np.stack([p_TV[:, : len(label_V)][:, label_V == label].sum() for label in range(3)])
    mass_C, first = totals(found, "ar").mass_NC.sum(0), found.labels.index(("digits", "none"))
    np.testing.assert_allclose(mass_C[first : first + 3], total, rtol=1e-4)
    assert np.isnan(mass_C[0]) and np.isnan(totals(found, "masked").mass_NC).all()


@pytest.fixture(scope="module")
def spread(network, sensitive, rows):
    """An exact reading on a mesh."""
    task, params = network
    config = dataclasses.replace(sensitive.evaluation, readings={"ar": READINGS["ar"]}, batch_rows=4)

    @functools.cache
    def read(**sizes):
        mesh = meshes.make(MeshConfig(**sizes), devices=jax.devices()[: math.prod(sizes.values())])
        score = readings.scorer(task, config, mesh=mesh)
        here = jax.device_put(params, shardings(params, mesh))
        batches = [{name: column[:4] for name, column in rows.items()}]
        found = evaluation.evaluate(task, config, score, here, batches, place=placement.placer(mesh))
        return dataclasses.asdict(totals(found, "ar"))

    return read


@pytest.mark.parametrize("sizes", [{"data": 4}, {"data": 1, "tensor": 2}, {"data": 1, "sequence": 2}], ids=str)
def test_a_mesh_changes_no_count_and_means_by_a_millionth_at_most(spread, sizes):
    """In float32, of every category; probabilities and the like, which may be next to nothing, of their whole range."""
    one, many = (dict(spread(**shape)) for shape in ({"data": 1}, sizes))
    np.testing.assert_array_equal(many["tokens_NC"], one["tokens_NC"])
    assert (many["unscored"], many["bytes"]) == (one["unscored"], one["bytes"])
    assert abs(many["residual"] - one["residual"]) < 1e-3, "which rounding may change"
    tokens_C = np.maximum(one["tokens_NC"].sum(0), 1)
    for name, least in {"nats_NC": 0.0, "details_KNC": 1e-6, "gate_NC": 1e-6, "mass_NC": 1e-6}.items():
        mean, expected = (total[name].sum(-2) / tokens_C for total in (many, one))
        np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=least, err_msg=name)


def test_padding_is_never_counted(found, rows, task):
    is_target = (rows["segment_ids"] > 0) & (rows["positions"] > 0)
    total = totals(found, "ar")
    assert total.tokens_NC[:, 0].sum() == is_target.sum() == len(values(found, "ar"))
    assert total.bytes == task.byte_lengths_V[rows["tokens"][is_target]].sum()


def test_every_place_of_a_row_is_scored_or_is_not_for_one_reason(found, rows):
    for column, total in zip(found.columns, found.totals, strict=True):
        assert total.tokens_NC[:, 0].sum() + sum(total.unscored.values()) == rows["tokens"].size
        assert total.unscored[PADDING] == (rows["segment_ids"] == 0).sum()
        assert total.unscored[BEGIN] == ((rows["segment_ids"] > 0) & (rows["positions"] == 0)).sum()
        assert total.unscored[OTHER] == np.isnan(values(found, column.part.name)).sum()


def test_an_evaluation_that_was_stopped_goes_on_and_gives_the_same_bits(
    network, sensitive, rows, found, tmp_path, monkeypatch
):
    monkeypatch.setattr(keeping, "SOONEST", 0.0)

    class Stopped(Exception):
        pass

    def stop(done):
        raise Stopped

    heard = []
    with pytest.raises(Stopped):
        read(network, sensitive.evaluation, rows, kept=Kept(tmp_path, "this"), on_batch=stop)
    again = read(network, sensitive.evaluation, rows, kept=Kept(tmp_path, "this"), on_batch=heard.append)
    assert heard == [2], "the first batch was not read again"
    for one, two in zip(found.tokens, again.tokens, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    for one, two in zip(found.totals, again.totals, strict=True):
        for name, value in dataclasses.asdict(one).items():
            np.testing.assert_array_equal(value, getattr(two, name), err_msg=name)


def test_exact_values_do_not_depend_on_the_batch(network, sensitive, rows, found):
    names = ("half shown", "one by one")
    config = dataclasses.replace(sensitive.evaluation, readings={name: READINGS[name] for name in names}, batch_rows=5)
    again = read(network, config, rows)
    for name in names:
        np.testing.assert_allclose(values(again, name), values(found, name), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(totals(again, name).nats_NC, totals(found, name).nats_NC, rtol=1e-5)
        np.testing.assert_array_equal(totals(again, name).tokens_NC, totals(found, name).tokens_NC)


def test_more_samples_lessen_the_error_of_a_bound(found):
    def error(name):
        total = totals(found, name)
        return total.samples_KC[:, 0].std(ddof=1) / len(total.samples_KC) ** 0.5

    assert error("masked often") < 0.5 * error("masked")
    np.testing.assert_allclose(
        totals(found, "masked").nats_NC[:, 0].sum(), totals(found, "masked often").nats_NC[:, 0].sum(), rtol=0.1
    )


def test_values_of_a_bound_are_means_of_its_samples(found):
    for name in ("masked", "masked often"):
        total = totals(found, name)
        np.testing.assert_allclose(total.samples_KC.mean(0), total.nats_NC.sum(0), rtol=1e-4, atol=1e-3)


def test_columns_say_what_they_mean():
    found = {column.part.name: column for column in columns(standard_readings(8, samples=3))}
    assert list(found) == ["ar", "prefix", "ar after prefix", "unigram after prefix", "block", "masked", "unigram"]
    assert {name: (column.part.kind.label, column.samples) for name, column in found.items()} == {
        "ar": ("exact", 0),
        "prefix": ("exact", 0),
        "ar after prefix": ("exact", 0),
        "unigram after prefix": ("exact", 0),
        "block": ("share", 3),
        "masked": ("share", 3),
        "unigram": ("exact", 0),
    }
    assert found["block"].part.sees == "earlier blocks whole, and its own block, less a random set of masked tokens"
    assert found["masked"].part.sees == "the whole document, less a random set of masked tokens"
    assert found["prefix"].targets == found["ar after prefix"].targets == "tokens after the prefix"
    assert found["ar"].targets == found["masked"].targets == "all scored tokens"


def test_without_an_autoregressive_reading_none_is_made_up():
    names = [column.part.name for column in columns({"p": Reading(objective=prefix_lm(0.5, 0.5))})]
    assert names == ["p", "unigram after p", "unigram"]


def test_a_reading_that_saw_the_right_is_conditional():
    column, unigram, every = columns({"bert": Reading(objective=masked_lm())})
    assert column.part.kind == ScoreKind.CONDITIONAL
    assert column.targets == unigram.targets == "tokens that bert predicts" != every.targets
    assert unigram.within == "bert"


class Numbered(Rows):
    """Rows that hold their own number."""

    row_length = 1

    def __init__(self, count):
        self._count = count

    def __len__(self):
        return self._count

    def read(self, indices):
        return {"tokens": np.asarray(indices)[:, None] + 1, "segment_ids": np.ones((len(indices), 1), np.int32)}


@pytest.mark.parametrize(("rows", "expected"), [(0, range(10)), (4, [0, 2, 5, 7]), (99, range(10))])
def test_rows_are_spread_over_the_split_and_the_last_batch_is_filled(sensitive, rows, expected):
    config = dataclasses.replace(sensitive.evaluation, rows=rows, batch_rows=4)
    found = list(evaluation.batches(Numbered(10), config))
    assert {batch["tokens"].shape for batch in found} == {(4, 1)}
    assert len(found) == evaluation.batch_count(Numbered(10), config)
    read = np.concatenate([batch["tokens"][batch["segment_ids"] > 0] for batch in found]) - 1
    assert read.tolist() == list(expected)


def test_values_move_to_the_token_they_belong_to_and_add_up():
    """Two positions predict token 2, none predicts token 1, and the last position has no target."""
    ones = jnp.ones((1, 4), jnp.int32)
    text = Text(tokens_BT=ones, segment_BT=ones, position_BT=jnp.arange(4)[None], columns={})
    inputs = single.build("ar", autoregressive(), text, Ids(mask=0, never=(0,), size=2), jax.random.key(0))
    inputs = dataclasses.replace(inputs, target_index_BT=jnp.array([[2, 0, 2, -1]]))
    value = predictions.in_text(inputs, jnp.array([[1.0, 2.0, 4.0, 8.0]]), (1, 3))
    assert value.tolist() == [[2.0, 0.0, 5.0]]
    assert predictions.is_predicted(inputs, (1, 3)).tolist() == [[True, False, True]]


@pytest.mark.parametrize("context", [0, 11, 30])
def test_tokens_in_windows_cost_what_their_window_says(network, session, sensitive, log_probs, context):
    config = dataclasses.replace(sensitive.evaluation, readings={"ar": READINGS["ar"]}, context=context, rows=ROWS)
    read_rows = Windows(session.held_out, context).read(range(ROWS))
    found = read(network, config, read_rows)
    expected = []
    for row, places, ids in documents(read_rows):
        cost = np.array(next_token(log_probs, ids, causal(len(ids))))
        expected.extend(cost[read_rows["scored"][row, places[1:]] > 0])
    np.testing.assert_allclose(values(found, "ar"), expected, rtol=1e-4, atol=1e-4)
    assert totals(found, "ar").tokens_NC[:, 0].sum() == read_rows["scored"].sum() == len(values(found, "unigram"))
    assert (totals(found, "ar").unscored[CONTEXT] > 0) == (context > 0)
