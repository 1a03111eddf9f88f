"""Every objective against loops over tokens, which know the definitions and are told what was drawn at random."""

import dataclasses
import itertools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import (
    autoregressive,
    block_diffusion,
    eso_lm,
    masked_diffusion,
    masked_lm,
    prefix_lm,
    span_corruption,
    uniform_diffusion,
)
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.tokens import as_dict
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample

SLOPE = {  # -alpha'(t) / (1 - alpha(t)), from the share 1 - alpha(t) that is masked
    "linear": lambda share: 1 / share,
    "cosine": lambda share: np.pi / 2 / np.tan(np.arcsin(np.minimum(share, 1))),
    "polynomial:2": lambda share: 2 / np.sqrt(share),
}


def arrays(inputs):
    """All columns of the inputs as NumPy arrays by name."""
    columns = {name: np.asarray(value) for name, value in vars(inputs).items() if isinstance(value, jax.Array)}
    return columns | {name: np.asarray(value) for name, value in as_dict(inputs.facts).items()}


def group(objective, position: int, prefix: int, stream: int) -> int:
    """Which block of its document a token is in, counted from anywhere."""
    if objective.clean_causal and stream == 0:
        return position
    match objective.layout:
        case "causal":
            return position
        case "prefix":
            return max(0, position - prefix + 1)
        case "bidirectional":
            return 0
    return position // objective.block_size


def possible_targets(batch, found):
    """(row, column) of every token that may be a target, given the drawn prefixes."""
    prefix = found["prefix_length"][:, : batch["tokens"].shape[1]]
    is_possible = (batch["segment_ids"] > 0) & (batch["positions"] > 0) & (batch["positions"] >= prefix)
    return list(zip(*np.nonzero(is_possible)))


def group_of(objective, batch, row: int, column: int) -> tuple:
    """The tokens that share one noise level: a block, or else a document."""
    block = batch["positions"][row, column] // objective.block_size if objective.layout == "blocks" else 0
    return row, batch["segment_ids"][row, column], block


def expected(objective, batch, found, ids, sample):
    """Targets, their places, weights and noise by loops, from the definitions and from what was drawn."""
    tokens, length = batch["tokens"], batch["tokens"].shape[1]
    stream = (objective.streams - 1) * length
    noisy, drawn_noise = found["inputs_BT"][:, stream:], found["noise_BT"][:, stream:]
    possible = possible_targets(batch, found)
    zeros = np.zeros(found["inputs_BT"].shape)
    targets, places = zeros.astype(int), zeros.astype(int) - 1
    weights, train, noise = zeros.copy(), zeros.copy(), zeros.copy()
    masked_in, size_of = {}, {}
    for row, column in possible:
        where = group_of(objective, batch, row, column)
        size_of[where] = size_of.get(where, 0) + 1
        masked_in[where] = masked_in.get(where, 0) + (noisy[row, column] == ids.mask)
    for row, column in possible:
        slot = stream + column - (objective.predicts == "next")
        where = group_of(objective, batch, row, column)
        is_masked = noisy[row, column] == ids.mask
        match objective.corruption:
            case "none" | "all":
                weight = 1
            case "masked_lm":  # which tokens were selected is drawn; those that stay cannot be told from the inputs
                weight = found["target_index_BT"][row, slot] >= 0
                if not weight:
                    continue
            case "uniform":
                weight = SLOPE[objective.schedule](drawn_noise[row, column].astype(np.float64))
            case "absorbing" if sample is None:
                weight = is_masked * SLOPE[objective.schedule](drawn_noise[row, column].astype(np.float64))
            case "absorbing":
                weight = is_masked * size_of[where] / max(masked_in[where], 1)
        targets[row, slot], places[row, slot] = tokens[row, column], row * length + column
        weights[row, slot], train[row, slot] = weight, weight
        if objective.clean_weight:
            targets[row, column - 1], places[row, column - 1] = tokens[row, column], row * length + column
            weights[row, column - 1], train[row, column - 1] = 1, objective.clean_weight
    noise[:, stream:] = {"none": 0, "all": 1, "masked_lm": objective.rate}.get(objective.corruption, drawn_noise)
    if objective.corruption == "absorbing" and sample is not None:
        for row, column in np.ndindex(tokens.shape):
            where = group_of(objective, batch, row, column)
            noise[row, stream + column] = masked_in.get(where, 0) / size_of.get(where, 1)
    share = objective.rate if objective.corruption == "masked_lm" else 1
    return {
        "targets_BT": targets,
        "target_index_BT": places,
        "score_weight_BT": weights,
        "train_weight_BT": train / (len(possible) * share),
        "noise_BT": noise,
    }


@pytest.mark.parametrize("sample", [None, Sample(1, 3)], ids=["training", "sample"])
def test_targets_weights_and_noise_are_those_of_loops_over_tokens(draw, in_place, batch, ids, sample):
    found = arrays(draw(in_place, sample=sample))
    for name, column in expected(in_place, batch, found, ids, sample).items():
        np.testing.assert_allclose(found[name], column, rtol=2e-5, err_msg=name)


def test_inputs_are_the_text_but_for_corrupted_targets(draw, in_place, batch, ids):
    objective = in_place
    found, tokens = arrays(draw(objective)), batch["tokens"]
    length = tokens.shape[1]
    clean, noisy = found["inputs_BT"][:, :length], found["inputs_BT"][:, -length:]
    is_counted = np.isin(np.arange(tokens.size), found["target_index_BT"]).reshape(tokens.shape)
    of = {"none": {0}, "masked_lm": set(ids.ordinary) | {ids.mask}, "uniform": set(ids.ordinary)}
    allowed = of.get(objective.corruption, {ids.mask})
    if objective.streams == 2:
        np.testing.assert_array_equal(clean, tokens)
    assert set(noisy[noisy != tokens]) <= allowed
    assert not np.any((noisy != tokens) & ~is_counted)
    if objective.corruption == "all":
        assert np.all(noisy[is_counted] == ids.mask)


def test_facts_are_those_of_the_text_once_per_stream(draw, in_place, batch):
    objective = in_place
    found = arrays(draw(objective))
    length = batch["tokens"].shape[1]
    for stream in range(objective.streams):
        half = {
            name: column[:, stream * length : (stream + 1) * length]
            for name, column in found.items()
            if name != "part_BX"
        }
        np.testing.assert_array_equal(half["position"], batch["positions"])
        np.testing.assert_array_equal(half["segment"], batch["segment_ids"])
        np.testing.assert_array_equal(half["valid"], batch["segment_ids"] > 0)
        np.testing.assert_array_equal(half["place"], batch["place"])
        np.testing.assert_array_equal(half["index"], np.arange(length)[None].repeat(len(half["index"]), 0))
        assert np.all(half["stream"] == stream)


def test_blocks_order_the_tokens_of_a_document_as_the_layout_says(draw, in_place, batch):
    found, length = arrays(draw(in_place)), batch["tokens"].shape[1]
    for row, stream in itertools.product(range(len(batch["tokens"])), range(in_place.streams)):
        segments = batch["segment_ids"][row]
        used = np.flatnonzero(segments)
        where = [(batch["positions"][row, i], found["prefix_length"][row, i], stream) for i in used]
        wanted = [group(in_place, *place) for place in where]
        block = found["block"][row, stream * length + used]
        is_same_document = segments[used][:, None] == segments[used]
        order = np.sign(np.subtract.outer(wanted, wanted))
        np.testing.assert_array_equal(
            np.sign(np.subtract.outer(block, block))[is_same_document], order[is_same_document]
        )
        assert np.all(np.diff(block) >= 0)


def test_noise_is_one_level_per_document_or_block_and_differs_between_them(draw, batch):
    for objective in (masked_diffusion(), block_diffusion(4)):
        found = arrays(draw(objective))
        noise = found["noise_BT"][:, -batch["tokens"].shape[1] :]
        levels = {}
        for row, column in zip(*np.nonzero(batch["segment_ids"])):
            levels.setdefault(group_of(objective, batch, row, column), set()).add(noise[row, column])
        assert all(len(level) == 1 for level in levels.values())
        assert len(set.union(*levels.values())) == len(levels)


def test_prefixes_are_shares_of_their_document_drawn_anew_for_each(draw, batch):
    seen = set()
    for seed in range(20):
        prefix = np.asarray(draw(prefix_lm(0.25, 0.75), seed).facts.prefix_length)
        for row, segments in enumerate(batch["segment_ids"]):
            for segment in set(segments) - {0}:
                size, lengths = np.sum(segments == segment), set(prefix[row, segments == segment])
                assert len(lengths) == 1
                assert int(0.25 * size) <= min(lengths) < 0.75 * size
                seen |= {(int(size), int(*lengths))}
    assert {length for size, length in seen if size == 12} == set(range(3, 9))


@pytest.mark.parametrize(
    ("objective", "kind", "sees"),
    [
        (autoregressive(), ScoreKind.EXACT, "the document to the left"),
        (autoregressive(across_documents=True), ScoreKind.EXACT, "the row to the left"),
        (prefix_lm(), ScoreKind.EXACT, "the first part of the document whole, and the document to the left"),
        (masked_lm(), ScoreKind.CONDITIONAL, "the whole document, less most of the selected tokens"),
        (masked_diffusion(), ScoreKind.SHARE, "the whole document, less a random set of masked tokens"),
        (
            span_corruption(),
            ScoreKind.CONDITIONAL,
            "the rest of the document, and of its spans what is to the left",
        ),
        (eso_lm(), ScoreKind.SHARE, "what comes before it in an order that is random at first"),
        (uniform_diffusion(), ScoreKind.SHARE, "the whole document, a random set of its tokens replaced at random"),
        (
            autoregressive(window=(7, 0)),
            ScoreKind.EXACT,
            "the document to the left, 7 tokens to the left and 0 to the right a layer",
        ),
        (
            block_diffusion(4),
            ScoreKind.SHARE,
            "earlier blocks whole, and its own block, less a random set of masked tokens",
        ),
        (
            block_diffusion(4, corruption="all"),
            ScoreKind.EXACT,
            "earlier blocks whole, and its own block, in which every token is masked",
        ),
    ],
)
def test_what_values_mean(objective, kind, sees):
    part = single.part("name", objective)
    assert (part.name, part.kind, part.sees) == ("name", kind, sees)


def own(name, objective, text, ids, key, *, sample=None):
    """A builder of one's own: autoregression in which every other token weighs nothing."""
    inputs = single.build(name, dataclasses.replace(objective, builder=""), text, ids, key, sample=sample)
    return dataclasses.replace(inputs, train_weight_BT=inputs.train_weight_BT * (inputs.facts.position % 2))


def test_a_builder_of_ones_own_takes_the_place_of_build(text, ids, monkeypatch):
    monkeypatch.setitem(sys.modules, "own_objectives", types.SimpleNamespace(own=own))
    plain = single.build("mine", autoregressive(), text, ids, jax.random.key(0))
    built = single.build("mine", autoregressive(builder="own_objectives:own"), text, ids, jax.random.key(0))
    weights = plain.train_weight_BT * (plain.facts.position % 2)
    np.testing.assert_array_equal(built.train_weight_BT, weights)
    assert jnp.any(weights > 0)
    assert built.parts == plain.parts


def test_a_builder_that_cannot_be_imported_is_refused_with_the_reason(text, ids):
    for path in ("no_such_module:build", "hybridlm.objectives.single:no_such_function"):
        with pytest.raises(ConfigError) as refusal:
            single.build("mine", autoregressive(builder=path), text, ids, jax.random.key(0))
        assert str(refusal.value).startswith(f"objective.builder={path!r} could not be imported (")
        assert str(refusal.value).endswith("must be installed or stand in the current directory.")
