"""The paragraph says what was done, and nothing that was not."""

import dataclasses

from hybridlm.reports.comparing.methods import paragraph


def test_every_setting_is_told(compared):
    text = compared[0].methods
    for part in (
        "model was compared with base on the same 742 tokens",
        "of 36 documents in 36 groups",
        "36 tokens of base that not all readings scored were left out.",
        "at least 499 random flips of the signs of whole groups (all of them for few groups; seed 0)",
        "95% intervals hold for all 6 gaps (all, kind and domain) at once, by the smallest p of each flip",
        "percentiles of 300 bootstrap draws of whole groups",
        "Gaps within ±0.01 nats per token count as equivalent, the default margin of hybridlm.",
        "regression of the gap on domain, log2 position, unigram cost and unigram cost squared",
        "one more of 1 pair that differ in seed alone",
        "one more of 2 pairs that differ in training or size",
        "All scores are of kind exact",
        "base: tests 1, weights base, tokenizer words-1",
    ):
        assert part in text, part


def test_a_margin_is_called_chosen_only_where_it_was(compared):
    chosen = dataclasses.replace(compared[0], settings={**compared[0].settings, "margin": 0.02})
    assert "within ±0.02 nats per token count as equivalent, a margin chosen for this comparison." in paragraph(chosen)
    assert "beforehand" not in compared[0].methods + paragraph(chosen)


def test_what_was_not_done_is_not_told(compared):
    found = compared[0]
    bare = dataclasses.replace(
        found, regressions=(), calibration=(), recall=(), settings={**found.settings, "seeds": [], "placebo": []}
    )
    text = paragraph(bare)
    assert not any(word in text for word in ("regression", "calibration", "Recall", "envelope"))
    assert "No placebo pairs were given: nothing here tells an effect of the architecture" in text
