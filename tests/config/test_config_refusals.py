"""Every refusal of a config as the text a person reads: the rule, the value, and what to do."""

import pytest

from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import (
    Objective,
    autoregressive,
    block_diffusion,
    masked_diffusion,
    masked_lm,
    prefix_lm,
    uniform_diffusion,
)
from hybridlm.config.presets import preset
from hybridlm.config.rows import allocate
from hybridlm.config.sources import Mixing
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig

OBJECTIVE = [
    (
        {"layout": "causel"},
        "objective.layout='causel' is not one of causal, prefix, bidirectional, blocks, random_order; did you "
        "mean 'causal'?",
    ),
    (
        {"corruption": "x"},
        "objective.corruption='x' is not one of none, absorbing, uniform, all, masked_lm, spans.",
    ),
    ({"predicts": "nxt"}, "objective.predicts='nxt' is not one of next, same; did you mean 'next'?"),
    (
        {"schedule": "polynomial"},
        "objective.schedule='polynomial' must be 'linear', 'cosine', 'polynomial:k' with a number k > 0, or an import "
        "path 'package.module:function'.",
    ),
    ({"ratio": 0.0}, "objective.ratio=0.0 must be positive; leave an unused objective out."),
    ({"streams": 3}, "objective.streams=3 must be 1, or 2 for clean and noisy copies."),
    (
        {"keep": 1.0, "random": 0.0},
        "masked_lm needs 0 < rate <= 1, keep < 1 (or nothing is hidden) and keep + random <= 1; got rate=0.15, "
        "keep=1.0, random=0.0.",
    ),
    (
        {"rate": 0.0},
        "masked_lm needs 0 < rate <= 1, keep < 1 (or nothing is hidden) and keep + random <= 1; got rate=0.0, "
        "keep=0.1, random=0.1.",
    ),
    ({"builder": "mine.build"}, "objective.builder='mine.build' must be an import path 'package.module:function'."),
    (
        {"block_size": 4},
        "objective.block_size=4 goes with layout='blocks' and with nothing else; layout is 'causal'.",
    ),
    (
        {"layout": "blocks", "corruption": "all"},
        "objective.block_size=0 goes with layout='blocks' and with nothing else; layout is 'blocks'.",
    ),
    (
        {"prefix": (0.1, 0.2)},
        "objective.prefix=(0.1, 0.2) goes with layout='prefix' and with nothing else: it is what is seen whole before "
        "the tokens that are predicted left to right; layout is 'causal'.",
    ),
    (
        {"layout": "prefix", "prefix": (0.5, 0.2)},
        "objective.prefix=(0.5, 0.2) must be (smallest, largest) shares of a document, with 0 <= smallest <= largest < "
        "1.",
    ),
    (
        {"layout": "bidirectional", "corruption": "all", "across_documents": True},
        "objective.across_documents is for layout='causal' with one stream: other layouts are cut per document.",
    ),
    (
        {"layout": "bidirectional"},
        "layout='bidirectional' with corruption='none' and predicts='next' would show the model the token it has to "
        "predict. Corrupt the input ('absorbing', 'masked_lm'), or use layout 'causal' or 'prefix' with "
        "predicts='next'.",
    ),
    (
        {"predicts": "same"},
        "layout='causal' with corruption='none' and predicts='same' would show the model the token it has to predict. "
        "Corrupt the input ('absorbing', 'masked_lm'), or use layout 'causal' or 'prefix' with predicts='next'.",
    ),
    (
        {"streams": 2},
        "objective.streams=2 needs a noisy copy, and corruption='none' makes none; use 'absorbing' or 'all'.",
    ),
    (
        {"streams": 2, "corruption": "all", "predicts": "same"},
        "objective.streams=2 shows noisy blocks the clean blocks before them, so it needs layout='blocks'; with "
        "layout='causal' a clean copy has no use, or shows what is to be predicted.",
    ),
    (
        {"layout": "blocks", "block_size": 2, "corruption": "masked_lm", "predicts": "same", "window": (3,)},
        "objective.window=(3,) must be (left, right): how many other tokens are visible on each side.",
    ),
    (
        {"layout": "random_order", "window": (3, 0)},
        "objective.window=(3, 0) counts neighbours in the text, which layout='random_order' does not keep.",
    ),
    (
        {"corruption": "absorbing", "rates": (0.5, 0.2)},
        "objective.rates=(0.5, 0.2) must be the (smallest, largest) share of tokens masked in training, with 0 <= "
        "smallest <= largest <= 1 and largest > 0.",
    ),
    (
        {"corruption": "absorbing", "rates": (0.2, 0.5), "schedule": "cosine"},
        "objective.rates=(0.2, 0.5) clips the shares that corruption='absorbing' with schedule='linear' draws evenly; "
        "corruption is 'absorbing' and schedule 'cosine'.",
    ),
    (
        {"layout": "bidirectional", "corruption": "uniform"},
        "corruption='uniform' reads the noisy token where its clean self is predicted, so it needs predicts='same'.",
    ),
    (
        {"clean_causal": True},
        "objective.clean_causal says what clean tokens see beside noisy blocks, so it needs streams=2 and "
        "layout='blocks'; got streams=1 and layout='causal'.",
    ),
    (
        {
            "layout": "blocks",
            "block_size": 4,
            "corruption": "absorbing",
            "predicts": "same",
            "streams": 2,
            "clean_weight": 1.0,
        },
        "objective.clean_weight=1.0 must not be negative, and a clean stream can predict its next token only where it "
        "does not see it: set clean_causal=True.",
    ),
    (
        {
            "layout": "blocks",
            "block_size": 4,
            "corruption": "uniform",
            "predicts": "same",
            "streams": 2,
            "clean_causal": True,
            "clean_weight": 0.5,
        },
        "objective.clean_weight=0.5 has the clean stream predict its next token, whose loss is the NLL, while "
        "corruption='uniform' has a loss of its own for all tokens; use 'absorbing', or clean_weight=0.",
    ),
    (
        {"span": 0.5},
        "objective.span=0.5 is a mean length in tokens and must be at least 1.",
    ),
    (
        {"corruption": "spans"},
        "corruption='spans' predicts what was cut out from left to right behind the rest of the text, so it needs "
        "layout='prefix' and predicts='next'; got 'causal' and 'next'.",
    ),
    (
        {"layout": "prefix", "corruption": "spans", "prefix": (0.1, 0.2)},
        "objective.prefix=(0.1, 0.2) goes with layout='prefix' and with nothing else: it is what is seen whole before "
        "the tokens that are predicted left to right; layout is 'prefix', and spans say themselves what is seen.",
    ),
    (
        {"layout": "bidirectional", "corruption": "masked_lm", "predicts": "same", "span": 1.2},
        "objective.span=1.2 must be a multiple of 0.5 for corruption='masked_lm', whose runs have 1 to 2 span - 1 "
        "tokens.",
    ),
    (
        {"alpha_0": 0.5},
        "objective.alpha_0=0.5 is the share of tokens that layout='random_order' puts first, in (0, 1], and goes with "
        "nothing else; layout is 'causal'. For a share of 0 use autoregressive().",
    ),
    (
        {"layout": "random_order", "alpha_0": 0.5},
        "layout='random_order' predicts every token from the clean ones before it in the order, so it needs streams=2 "
        "and corruption='all'; got streams=1 and corruption='none'.",
    ),
    (
        {"streams": 2, "corruption": "all", "layout": "blocks", "block_size": 2},
        "objective.streams=2 predicts at the noisy token itself, since the token before a block is in the other "
        "stream; use predicts='same'.",
    ),
]

MODEL = [
    ({"width": 0}, "model.width=0 must be at least 1."),
    (
        {"norm": "rmsnorm"},
        "model.norm='rmsnorm' is not one of rms, layer.",
    ),
    (
        {"kv_heads": 3},
        "model.kv_heads=3 must divide model.heads=4, since query heads share key/value heads in equal groups; valid "
        "are [1, 2, 4].",
    ),
    (
        {"width": 130},
        "model.width=130 is not a multiple of model.heads=4; change one or set --config.model.head_width.",
    ),
    ({"rotary_fraction": 1.5}, "model.rotary_fraction=1.5 must lie in [0, 1]."),
    (
        {"head_width": 6, "rotary_fraction": 0.5},
        "rotary positions turn pairs of numbers, but model.rotary_fraction=0.5 of head width 6 is 3, which is odd; "
        "choose a fraction that gives an even width.",
    ),
    (
        {"positions": "learned"},
        "model.positions='learned' needs model.max_positions, the longest document the table can number.",
    ),
    (
        {"parallel_residual": True, "norm_placement": "post"},
        "model.parallel_residual needs model.norm_placement='pre': both branches read the layer's input.",
    ),
]

TRAINING = [
    (TrainingConfig, {"steps": 0}, "training.steps=0 must be at least 1."),
    (
        TrainingConfig,
        {"batch_rows": 32, "accumulate": 3},
        "training.accumulate=3 must divide training.batch_rows=32.",
    ),
    (CheckpointConfig, {"keep": 0}, "checkpoint.every and checkpoint.keep must be at least 1."),
    (
        MeshConfig,
        {"fsdp": -1},
        "mesh sizes must be positive, and at most one may be -1 for 'what is left'; got replica=1, data=-1, "
        "fsdp=-1, tensor=1, sequence=1.",
    ),
    (
        OptimizerConfig,
        {"schedule": "cosin"},
        "optimizer.schedule='cosin' is not one of cosine, wsd, constant; did you mean 'cosine'?",
    ),
    (OptimizerConfig, {"learning_rate": 0.0}, "optimizer.learning_rate=0.0 must be positive."),
    (
        OptimizerConfig,
        {"name": "muon"},
        "optimizer.name='muon' must be 'adamw' or an import path 'package.module:function', for example "
        "'optax.contrib:muon'.",
    ),
]

DATA = [
    ({"sources": ()}, "data.sources is empty; name at least one file or directory, or 'embedded'."),
    ({"row_length": 4}, "data.row_length=4 is too short for a document; use at least 8."),
    (
        {"validation": 0.0},
        "data.validation=0.0 must lie in (0, 0.5) and data.test=0.04 in [0, 0.5) for the source 'embedded': they are "
        "shares of split groups, and without a validation share, of one source at least, nothing could be evaluated.",
    ),
    (
        {"vocab_size": 256},
        "data.vocab_size=256 cannot hold the 256 bytes and the special tokens; use at least 264.",
    ),
    ({"limit_bytes": -1}, "data.limit_bytes=-1 must not be negative; 0 is no limit."),
    (
        {"sources": ("a.txt", "a.txt")},
        "data.sources has two sources called 'a.txt'; give each a name of its own.",
    ),
    (
        {"sources": ("a.txt", "b.txt"), "mixing": (Mixing(shares={"a.txt": 0.5, "c.txt": 0.5}),)},
        "data.mixing names 'c.txt', which no source is called; did you mean 'b.txt'?",
    ),
    (
        {"sources": ("a.txt", "b.txt"), "mixing": (Mixing(shares={"a.txt": 1.0}),)},
        "data.mixing from step 0 on gives no share to 'b.txt'; give one to every source, 0 where it is to wait.",
    ),
    (
        {"mixing": (Mixing(shares={"embedded": 1.0}, from_step=5),)},
        "data.mixing begins at the steps [5]; the first must be 0, and each later than the one before.",
    ),
]

EVALUATION = [
    ({"split": "train"}, "evaluation.split='train' is not one of validation, test."),
    ({"batch_rows": 0}, "evaluation.batch_rows=0 must be at least 1."),
    ({"draws": 0}, "evaluation.draws=0 must be at least 1."),
    ({"readings": {}}, "evaluation.readings is empty; name at least one way of reading the model."),
    ({"rows": -1}, "evaluation.rows=-1 must not be negative."),
]

SOURCE = [
    ({"path": ""}, "a source of data.sources has no path; name a file, a directory, or 'embedded'."),
    (
        {"path": "a", "max_epochs": -1.0},
        "data.sources: max_epochs=-1.0 of 'a' must not be negative; 0 allows any number.",
    ),
]

MIXING = [
    (
        {"shares": {"a": 0.5, "b": 0.4}},
        "data.mixing: the shares from step 0 on sum to 0.9, not 1: {'a': 0.5, 'b': 0.4}. Divide each by their sum, and "
        "round so that they add up.",
    ),
    (
        {"shares": {"a": 0.33333, "b": 0.66667}},
        "data.mixing: the share 0.33333 of 'a' must lie between 0 and 1 and have at most 4 decimals, so that it can be "
        "kept exactly; round it.",
    ),
    ({"shares": {"a": 1.0}, "from_step": -1}, "data.mixing: from_step=-1 must not be negative."),
]

AUDIT = [
    (
        {"not_utf8": "keep"},
        "data.audit.not_utf8='keep' must be one of 'drop', 'fail': such a document cannot become a row.",
    ),
    ({"longest": -1}, "data.audit.longest=-1 must not be negative; 0 is no limit."),
]

EXPERIMENT = [
    ({"objectives": {}}, "objectives is empty; a model learns from at least one."),
    (
        {"objectives": {"block": block_diffusion(5)}},
        "objectives.block.block_size=5 does not divide data.row_length=128, so rows would end inside a block; use one "
        "of [1, 2, 4, 8, 16, 32, 64, 128].",
    ),
    (
        {"data": DataConfig(row_length=120)},
        "evaluation.readings.block.block_size=16 does not divide data.row_length=120, so rows would end inside a "
        "block; use one of [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60, 120].",
    ),
    (
        {"model": ModelConfig(positions="learned", max_positions=64)},
        "model.max_positions=64 cannot number rows of data.row_length=128.",
    ),
    (
        {"model": ModelConfig(vocab_size=512)},
        "model.vocab_size=512 differs from the tokenizer's data.vocab_size=1024; leave --config.model.vocab_size at "
        "0 to take the tokenizer's, and pad with --config.model.vocab_multiple.",
    ),
    ({"mesh": MeshConfig(tensor=3)}, "mesh.tensor=3 does not divide model.heads=4; use one of [1, 2, 4]."),
    (
        {"mesh": MeshConfig(sequence=3)},
        "mesh.sequence=3 does not divide data.row_length=128; use one of [1, 2, 4, 8, 16, 32, 64, 128].",
    ),
    (
        {"training": TrainingConfig(steps=20)},
        "optimizer.warmup=50 is longer than training.steps=20; a run this short may warm up in a tenth of it: "
        "--config.optimizer.warmup=2.",
    ),
    (
        {"objectives": {"ar": autoregressive(across_documents=True), "mlm": masked_lm()}},
        "objectives.ar: across_documents works for a single objective; a mixture isolates documents.",
    ),
    (
        {"training": TrainingConfig(batch_rows=18, accumulate=3), "mesh": MeshConfig(data=2, fsdp=2)},
        "a step has 18 rows of 1 x 128 tokens, which training.accumulate=3 x mesh.replica x mesh.data x "
        "mesh.fsdp = 12 does not divide; change --config.training.batch_rows=18 to one of [24, 36, 48].",
    ),
    (
        {
            "objectives": {"ar": autoregressive(), "block": block_diffusion(4)},
            "training": TrainingConfig(batch_rows=16),
            "mesh": MeshConfig(data=8),
        },
        "a step has 12 rows of 2 x 128 tokens (two of text, or one and its noisy copy), which training.accumulate=1 x "
        "mesh.replica x mesh.data x mesh.fsdp = 8 does not divide; change --config.training.batch_rows=16 to one of "
        "[21, 32, 42].",
    ),
]


def refused(build) -> str:
    with pytest.raises(ConfigError) as refusal:
        build()
    return str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "fields", "text"),
    [
        *((Objective, *row) for row in OBJECTIVE),
        *((ModelConfig, *row) for row in MODEL),
        *TRAINING,
        *((DataConfig, *row) for row in DATA),
        *((EvaluationConfig, *row) for row in EVALUATION),
    ],
)
def test_refusals_of_one_part(kind, fields, text):
    assert refused(lambda: kind(**fields)) == text


@pytest.mark.parametrize(("fields", "text"), EXPERIMENT)
def test_refusals_of_parts_that_do_not_fit_together(fields, text):
    assert refused(lambda: Experiment(name="run", **fields)) == text


def test_a_bound_needs_two_samples_and_an_exact_reading_one():
    for objective in (masked_diffusion(), block_diffusion(4)):
        assert refused(lambda: Reading(objective=objective, samples=1)) == (  # noqa: B023
            "a bound needs reading.samples >= 2, or its Monte-Carlo error could not be told."
        )
    for objective in (autoregressive(), prefix_lm(), block_diffusion(4, corruption="all")):
        assert Reading(objective=objective, samples=1).samples == 1
    assert refused(lambda: Reading(objective=autoregressive(), samples=0)) == "reading.samples=0 must be at least 1."


def test_a_batch_too_small_for_its_objectives():
    assert refused(lambda: allocate({"ar": autoregressive(), "block": block_diffusion(4)}, 2)) == (
        "training.batch_rows=2 cannot be divided among 2 objectives, which take rows in units of {'ar': 2, 'block': "
        "1}; use at least --config.training.batch_rows=3."
    )


def test_uniform_diffusion_is_trained_alone():
    assert refused(lambda: allocate({"ar": autoregressive(), "noise": uniform_diffusion()}, 8)) == (
        "objectives.noise with corruption='uniform' has a per-token loss of its own, which a step applies to all its "
        "tokens; train it alone, or take corruption='absorbing' for a mixture."
    )
    assert allocate({"noise": uniform_diffusion()}, 8).rows == {"noise": 8}


def test_an_unknown_preset_names_the_nearest():
    assert refused(lambda: preset("1B")) == "there is no model preset '1B'; did you mean '13B'?"


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial:2", "polynomial:0.5", "polynomial:.25"])
def test_schedules_that_exist_are_taken(schedule):
    assert masked_diffusion(schedule).schedule == schedule


def test_a_builder_answers_for_its_own_leaks():
    odd = {"layout": "bidirectional", "corruption": "none", "streams": 2, "predicts": "next"}
    with pytest.raises(ConfigError):
        Objective(**odd)
    assert Objective(**odd, builder="mine.objectives:build").streams == 2
