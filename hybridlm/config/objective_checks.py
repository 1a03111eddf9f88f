"""Which choices of an objective go together; everything that would show a model what it has to predict is refused."""

import re
from typing import Any

from hybridlm.config.errors import one_of, require, unplaced

LAYOUTS = ("causal", "prefix", "bidirectional", "blocks", "random_order")
CORRUPTIONS = ("none", "absorbing", "uniform", "all", "masked_lm", "spans")


@unplaced()
def check(objective: Any) -> None:
    """Raises `Unplaced` unless the choices of an `Objective` go together."""
    _check_values(objective)
    _check_layout(objective)
    _check_window(objective)
    _check_rates(objective)
    if not objective.builder:
        _check_leaks(objective)
        _check_streams(objective)
        _check_spans(objective)
        _check_random_order(objective)


def _check_values(objective):
    one_of("objective.layout", objective.layout, LAYOUTS)
    one_of("objective.corruption", objective.corruption, CORRUPTIONS)
    one_of("objective.predicts", objective.predicts, ("next", "same"))
    require(
        re.fullmatch(r"linear|cosine|polynomial:\d*\.?\d+|\w+(\.\w+)+:\w+", objective.schedule) is not None,
        f"objective.schedule={objective.schedule!r} must be 'linear', 'cosine', 'polynomial:k' with a number k > 0, or "
        "an import path 'package.module:function'.",
    )
    require(objective.ratio > 0, f"objective.ratio={objective.ratio} must be positive; leave an unused objective out.")
    require(
        objective.streams in (1, 2),
        f"objective.streams={objective.streams} must be 1, or 2 for clean and noisy copies.",
    )
    require(
        0 < objective.rate <= 1 and 0 <= objective.keep < 1 and 0 <= objective.random <= 1 - objective.keep,
        "masked_lm needs 0 < rate <= 1, keep < 1 (or nothing is hidden) and keep + random <= 1; got "
        f"rate={objective.rate}, keep={objective.keep}, random={objective.random}.",
    )
    require(
        not objective.builder or re.fullmatch(r"[\w.]+:\w+", objective.builder) is not None,
        f"objective.builder={objective.builder!r} must be an import path 'package.module:function'.",
    )


def _check_layout(objective):
    layout, prefix = objective.layout, objective.prefix
    require(
        (layout == "blocks") == (objective.block_size > 0),
        f"objective.block_size={objective.block_size} goes with layout='blocks' and with nothing else; layout is "
        f"{layout!r}.",
    )
    require(
        (layout == "prefix" and objective.corruption != "spans") == bool(prefix),
        f"objective.prefix={prefix} goes with layout='prefix' and with nothing else: it is what is seen whole before "
        f"the tokens that are predicted left to right; layout is {layout!r}"
        + (", and spans say themselves what is seen." if objective.corruption == "spans" else "."),
    )
    require(
        not prefix or (len(prefix) == 2 and 0 <= prefix[0] <= prefix[1] < 1),
        f"objective.prefix={prefix} must be (smallest, largest) shares of a document, with 0 <= smallest <= largest < "
        "1.",
    )
    require(
        not objective.across_documents or (layout == "causal" and objective.streams == 1),
        "objective.across_documents is for layout='causal' with one stream: other layouts are cut per document.",
    )


def _check_window(objective):
    window = objective.window
    require(
        not window or (len(window) == 2 and min(window) >= 0),
        f"objective.window={window} must be (left, right): how many other tokens are visible on each side.",
    )
    require(
        not window or objective.layout != "random_order",
        f"objective.window={window} counts neighbours in the text, which layout='random_order' does not keep.",
    )


def _check_rates(objective):
    rates = objective.rates
    require(
        not rates or (len(rates) == 2 and 0 <= rates[0] <= rates[1] <= 1 and rates[1] > 0),
        f"objective.rates={rates} must be the (smallest, largest) share of tokens masked in training, with 0 <= "
        "smallest <= largest <= 1 and largest > 0.",
    )
    require(
        not rates or (objective.corruption == "absorbing" and objective.schedule == "linear"),
        f"objective.rates={rates} clips the shares that corruption='absorbing' with schedule='linear' draws evenly; "
        f"corruption is {objective.corruption!r} and schedule {objective.schedule!r}.",
    )


def _check_leaks(objective):
    sees_target = objective.corruption == "none" and (
        objective.predicts == "same" or objective.layout in ("bidirectional", "blocks")
    )
    require(
        not sees_target,
        f"layout={objective.layout!r} with corruption='none' and predicts={objective.predicts!r} would show the model "
        "the token it has to predict. Corrupt the input ('absorbing', 'masked_lm'), or use layout 'causal' or 'prefix' "
        "with predicts='next'.",
    )
    require(
        objective.corruption != "uniform" or objective.predicts == "same",
        "corruption='uniform' reads the noisy token where its clean self is predicted, so it needs predicts='same'.",
    )


def _check_streams(objective):
    if objective.streams == 2:
        require(
            objective.corruption in ("absorbing", "uniform", "all"),
            f"objective.streams=2 needs a noisy copy, and corruption={objective.corruption!r} makes none; use "
            "'absorbing' or 'all'.",
        )
        require(
            objective.layout in ("blocks", "random_order"),
            "objective.streams=2 shows noisy blocks the clean blocks before them, so it needs layout='blocks'; with "
            f"layout={objective.layout!r} a clean copy has no use, or shows what is to be predicted.",
        )
        require(
            objective.predicts == "same",
            "objective.streams=2 predicts at the noisy token itself, since the token before a block is in the other "
            "stream; use predicts='same'.",
        )
    require(
        not objective.clean_causal or (objective.streams == 2 and objective.layout == "blocks"),
        "objective.clean_causal says what clean tokens see beside noisy blocks, so it needs streams=2 and "
        f"layout='blocks'; got streams={objective.streams} and layout={objective.layout!r}.",
    )
    require(
        objective.clean_weight == 0 or (objective.clean_weight > 0 and objective.clean_causal),
        f"objective.clean_weight={objective.clean_weight} must not be negative, and a clean stream can predict its "
        "next token only where it does not see it: set clean_causal=True.",
    )
    require(
        objective.clean_weight == 0 or objective.corruption != "uniform",
        f"objective.clean_weight={objective.clean_weight} has the clean stream predict its next token, whose loss is "
        "the NLL, while corruption='uniform' has a loss of its own for all tokens; use 'absorbing', or clean_weight=0.",
    )


def _check_spans(objective):
    require(objective.span >= 1, f"objective.span={objective.span} is a mean length in tokens and must be at least 1.")
    require(
        objective.corruption != "spans" or (objective.layout == "prefix" and objective.predicts == "next"),
        "corruption='spans' predicts what was cut out from left to right behind the rest of the text, so it needs "
        f"layout='prefix' and predicts='next'; got {objective.layout!r} and {objective.predicts!r}.",
    )
    require(
        objective.corruption != "masked_lm" or 2 * objective.span == int(2 * objective.span),
        f"objective.span={objective.span} must be a multiple of 0.5 for corruption='masked_lm', whose runs have 1 to "
        "2 span - 1 tokens.",
    )


def _check_random_order(objective):
    is_random = objective.layout == "random_order"
    require(
        is_random == (objective.alpha_0 > 0) and objective.alpha_0 <= 1,
        f"objective.alpha_0={objective.alpha_0} is the share of tokens that layout='random_order' puts first, in (0, "
        f"1], and goes with nothing else; layout is {objective.layout!r}. For a share of 0 use autoregressive().",
    )
    require(
        not is_random or (objective.streams == 2 and objective.corruption == "all"),
        "layout='random_order' predicts every token from the clean ones before it in the order, so it needs streams=2 "
        f"and corruption='all'; got streams={objective.streams} and corruption={objective.corruption!r}.",
    )
