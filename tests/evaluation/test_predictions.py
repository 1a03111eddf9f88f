"""Every estimator on a random table: a network whose logits are an arbitrary function of what a token sees, and where.

So each score has an oracle that looks up one context after the other, and the texts are short enough to sum over all.
"""

import dataclasses
import functools
import itertools
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.categories import tables
from hybridlm.categories.families import word_place
from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import Objective, block_diffusion, masked_diffusion
from hybridlm.evaluation import predictions
from hybridlm.evaluation.predictions import Network
from hybridlm.facts.head import Head
from hybridlm.masks import materialize
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import Ids, from_batch
from hybridlm.scoring.chunks import anywhere
from hybridlm.scoring.nll import token_nll
from hybridlm.scoring.order_mixture import exact_bound, order_mixture

PAD, MASK, BOS, WORDS, ROW = 0, 1, 2, (3, 4, 5), 8
IDS = Ids(mask=MASK, never=(PAD, MASK, BOS), size=6)
TABLES = tables.build(
    [b"", b"", b"", b" re", b"do", b"."],
    np.ones(6, int),
    {"pad": 0, "mask": 1, "bos": 2},
    columns=(),
    families=[word_place.FAMILY],
)
SEEN_VTD = np.random.default_rng(0).normal(size=(6, ROW, 6))
AT_TD = np.random.default_rng(1).normal(size=(ROW, 6))


@dataclasses.dataclass(frozen=True, eq=False)
class Table(Network):
    """logits of the token at i = 3 sin(Σ over what it sees + a constant of i): as arbitrary as a table, and short."""

    @property
    def head(self):
        return Head(jnp.eye(6), never_V=jnp.arange(6) < 3)

    def hidden(self, inputs):
        sees_BTS = materialize(inputs.mask, inputs.facts).astype(jnp.float32)
        seen_BSD = jnp.asarray(SEEN_VTD, jnp.float32)[inputs.inputs_BT, inputs.facts.position]
        seen_BTD = jnp.einsum("bts,bsd->btd", sees_BTS, seen_BSD, precision="highest")
        return 3 * jnp.sin(seen_BTD + jnp.asarray(AT_TD, jnp.float32)[inputs.facts.position])


TABLE = Table(SimpleNamespace(ids=IDS, model=SimpleNamespace(width=6, dtype="float32")), None, None, 1, anywhere)


def cost(document, place, visible):
    """-log p of a document's token at a place, given the tokens it sees by their places."""
    seen = sum(SEEN_VTD[token, position] for position, token in visible.items())
    logits = 3 * np.sin(seen + AT_TD[place])[3:]
    return np.log(np.exp(logits).sum()) - logits[document[place] - 3]


def context(document, block, shown):
    """What is seen in a block, given which of its places are shown: they, masks, and all earlier blocks."""
    before = {place: document[place] for place in range(block.start)}
    return before | {place: document[place] if place in shown or place == 0 else MASK for place in block}


def blocks(length, size):
    return [range(first, min(first + size, length)) for first in range(0, length, size)]


ALL = [(BOS, *words) for words in itertools.product(WORDS, repeat=4)]
"""Every text of four words: they are rows 0 to 80."""
PACKED = [[(BOS, 3, 4, 4, 5), (BOS, 5, 3)], [(BOS, 5, 5), (BOS, 4, 3, 4, 3)], [(BOS, 5, 3)], [(BOS, 4, 3, 4, 3)]]
"""Rows of documents that also stand elsewhere."""


def rows(texts):
    batch = {name: np.zeros((len(texts), ROW), np.int32) for name in ("tokens", "segment_ids", "positions")}
    for row, documents in enumerate(texts):
        tokens = [token for document in documents for token in document]
        batch["tokens"][row, : len(tokens)] = tokens
        segments = [n for n, document in enumerate(documents, 1) for _ in document]
        batch["segment_ids"][row, : len(tokens)] = segments
        batch["positions"][row, : len(tokens)] = [place for document in documents for place in range(len(document))]
    return batch


BATCH = rows([[text] for text in ALL] + PACKED)
TEXT = from_batch({name: jnp.asarray(x) for name, x in BATCH.items()})
BLOCKS, ONE_BLOCK, DOCUMENT = block_diffusion(3), block_diffusion(5), masked_diffusion()
READINGS = {
    "chain of blocks": Reading(objective=BLOCKS, estimator="chain"),
    "chain of documents": Reading(objective=DOCUMENT, estimator="chain"),
    "surest first": Reading(objective=BLOCKS, estimator="chain", order="confidence"),
    "least entropy first": Reading(objective=DOCUMENT, estimator="chain", order="entropy"),
    "orders of blocks": Reading(objective=BLOCKS, estimator="order_mixture"),
    "orders of one block": Reading(objective=ONE_BLOCK, estimator="order_mixture"),
    "bound of one block": Reading(objective=ONE_BLOCK, estimator="enumeration"),
    "leave one out": Reading(objective=DOCUMENT, estimator="leave_one_out"),
}
EXACT = tuple(READINGS)[:6]


@functools.cache
def score(name, **changes):
    """Nats of every token of the batch, and of the whole of it."""
    reading = dataclasses.replace(READINGS[name], **changes)

    @jax.jit
    def read():
        if not reading.has_predictions:
            of_block = {"enumeration": exact_bound, "order_mixture": order_mixture}[reading.estimator]
            return predictions.over_sets(TABLE, reading, TEXT, of_block)
        found = predictions.of_reading(TABLE, name, reading, TEXT, TABLES, jax.random.key(0))
        nats_RS = token_nll(found.hidden_RSD, TABLE.head, TEXT.tokens_BT, found.is_counted_RS, chunk=64)
        return nats_RS, nats_RS.sum()

    return jax.tree.map(np.asarray, read())


def chain_of_blocks(document, size):
    return [
        cost(document, place, context(document, block, range(place)))
        for block in blocks(len(document), size)
        for place in block
        if place
    ]


@pytest.mark.parametrize(("name", "size"), [("chain of blocks", 3), ("chain of documents", 5)])
def test_a_chain_costs_what_each_token_costs_after_those_before_it(name, size):
    expected = [chain_of_blocks(document, size) for document in ALL]
    np.testing.assert_allclose(score(name)[0][:81, 1:5], expected, rtol=1e-4, atol=1e-4)


def test_blocks_of_one_token_are_read_exactly_in_one_pass():
    """The chain of block diffusion at B = 1 is the objective that masks each token alone: autoregression."""
    reading = Reading(objective=block_diffusion(1), estimator="chain")
    single_pass = Reading(
        objective=Objective(layout="blocks", corruption="all", predicts="same", streams=2, block_size=1)
    )
    chain, plain = (
        jax.jit(functools.partial(predictions.of_reading, TABLE, "", one, TEXT, TABLES))(jax.random.key(0))
        for one in (reading, single_pass)
    )
    np.testing.assert_allclose(chain.hidden_RSD[:, 1:5], plain.hidden_RSD[:, 1:5], rtol=1e-6)
    np.testing.assert_array_equal(chain.is_counted_RS, plain.is_counted_RS)


def surest_first(document, size, sureness):
    """What every token costs, by the rule of the sampler: the surest of a block's masked tokens is revealed next."""
    found = {}
    for block in blocks(len(document), size):
        shown, hidden = set(), [place for place in block if place]
        while hidden:
            seen = sum(SEEN_VTD[token, place] for place, token in context(document, block, shown).items())
            logits = 3 * np.sin(seen + AT_TD[hidden])[:, 3:]
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            place = hidden.pop(int(np.argmax(sureness(p))))
            found[place] = cost(document, place, context(document, block, shown))
            shown.add(place)
    return [found[place] for place in sorted(found)]


@pytest.mark.parametrize(
    ("name", "size", "sureness"),
    [
        ("surest first", 3, lambda p: p.max(1)),
        ("least entropy first", 5, lambda p: (p * np.log(p)).sum(1)),
    ],
)
def test_an_order_by_sureness_is_that_of_a_sampler(name, size, sureness):
    expected = [surest_first(document, size, sureness) for document in ALL]
    np.testing.assert_allclose(score(name)[0][:81, 1:5], expected, rtol=1e-4, atol=1e-4)


def test_an_order_mixture_is_the_mean_over_all_orders():
    for row, document in enumerate(ALL[:9]):
        likelihoods = []
        for order in itertools.permutations(range(1, 5)):
            nats = (cost(document, place, context(document, range(5), order[:n])) for n, place in enumerate(order))
            likelihoods.append(math.exp(-sum(nats)))
        np.testing.assert_allclose(
            score("orders of one block")[0][row].sum(), -math.log(np.mean(likelihoods)), rtol=1e-4
        )


@pytest.mark.parametrize("name", EXACT)
def test_likelihoods_of_all_texts_sum_to_one(name):
    np.testing.assert_allclose(np.exp(-score(name)[0][:81].sum(1)).sum(), 1, rtol=1e-4)


def test_what_is_no_likelihood_does_not_sum_to_one():
    assert np.exp(-score("bound of one block")[0][:81].sum(1)).sum() < 0.95
    assert abs(np.exp(-score("leave one out")[0][:81].sum(1)).sum() - 1) > 0.05


def test_the_bound_is_at_least_the_likelihood_it_bounds():
    bound, exact = (score(name)[0][:81].sum(1) for name in ("bound of one block", "orders of one block"))
    assert (bound >= exact - 1e-4).all() and (bound > exact + 0.01).any()


def test_sampling_tends_to_the_enumerated_bound_token_by_token():
    """Twelve samples of each of 400 copies of a text: every number of masked tokens comes up equally often."""
    document = ALL[37]
    text = from_batch({name: jnp.asarray(x) for name, x in rows([[document]] * 400).items()})

    @jax.jit
    def one(number):
        inputs = single.build("", ONE_BLOCK, text, IDS, jax.random.key(3), sample=Sample(number, 12))
        return predictions.in_text(inputs, TABLE.weighted_nll(inputs), text.tokens_BT.shape)

    found = np.concatenate([one(number) for number in range(12)])[:, 1:5]
    error = found.std(0) / len(found) ** 0.5
    expected = score("bound of one block")[0][37, 1:5]
    assert (error < 0.1).all() and (np.abs(found.mean(0) - expected) < 4 * error).all()


def test_leave_one_out_shows_all_others_less_the_rest_of_the_word():
    """3 starts a word, 4 goes on with it, 5 is a mark and ends it."""
    for row, document in enumerate(ALL):
        expected = []
        for place in range(1, 5):
            end = place + 1
            while end < 5 and document[end] == 4 and document[end - 1] != 5:
                end += 1
            expected.append(cost(document, place, context(document, range(5), set(range(5)) - set(range(place, end)))))
        np.testing.assert_allclose(score("leave one out")[0][row, 1:5], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", READINGS)
def test_packing_and_padding_change_no_score(name):
    nats = score(name)[0]
    np.testing.assert_allclose(nats[81, :5], nats[ALL.index((BOS, 3, 4, 4, 5)), :5], rtol=1e-5)
    np.testing.assert_allclose(nats[81, 5:8], nats[83, :3], rtol=1e-5)
    np.testing.assert_allclose(nats[82, 3:8], nats[84, :5], rtol=1e-5)
    assert not nats[np.asarray(~TEXT.is_target_BT)].any()


@pytest.mark.parametrize("name", READINGS)
def test_tokens_sum_to_their_sequences(name):
    nats, total = score(name)
    np.testing.assert_allclose(nats.sum(dtype=np.float64), total, rtol=1e-5)


@pytest.mark.parametrize("name", ["chain of documents", "orders of blocks"])
def test_how_many_copies_share_a_pass_changes_nothing(name):
    np.testing.assert_allclose(score(name, copies=3)[0], score(name)[0], rtol=1e-5)
