"""The methods paragraph of a comparison, in sentences made from what was actually done."""

from hybridlm.reports.comparing.rows import Settings
from hybridlm.reports.comparing.shown import tests
from hybridlm.reports.comparison import Comparison
from hybridlm.reports.scores import KINDS
from hybridlm.statistics.intervals import FEW


def paragraph(found: Comparison) -> str:
    """The paragraph, one sentence for each decision; only what was done is told."""
    parts = (_what, _unit, _gap, _tests, _margin, _regression, _placebos, _calibration, _recall, _kind)
    return " ".join(sentence for part in parts for sentence in part(found))


def _what(found: Comparison):
    base, models = found.baseline, found.models
    yield (
        f"{_list([m.name for m in models])} {'was' if len(models) == 1 else 'were'} compared with {base.name} on the "
        f"same {found.tokens:,} tokens ({found.bytes:,} bytes) of {found.documents:,} documents in {found.clusters:,} "
        f"groups (data {found.data[:12]})."
    )
    if found.left_out:
        yield f"{found.left_out:,} tokens of {base.name} that not all readings scored were left out."
    if found.settings["filter"] != "all":
        yield f"Only tokens with {found.settings['filter']} were counted."


def _unit(found: Comparison):
    if found.unit == "byte":
        yield (
            "The readings use different tokenizers: costs were added up over the finest segments of text that all of "
            "them cut out whole, spread over the baseline's tokens in proportion to bytes, and divided by bytes; "
            "labels are those of the baseline's tokens. Tokens without bytes at the end of a document were left out."
        )
    else:
        yield "Every category's loss is its total over its tokens, divided by their number, in nats."


def _gap(found: Comparison):
    yield (
        f"The gap is the loss of {found.baseline.name} minus that of the model, {found.unit} by {found.unit}: "
        "positive means that the model predicts better. A category's share is its part of the total gap of its family."
    )


def _tests(found: Comparison):
    s = found.settings
    yield (
        "One test made intervals, p-values and verdicts: the t of a gap, with its error clustered by group, was held "
        f"against that of at least {s['permutations']:,} random flips of the signs of whole groups (all of them for "
        f"few groups; seed {s['seed']}). It is exact if gaps of groups are symmetric; categories in fewer than {FEW} "
        f"groups are marked. p-values and {s['level']:.0%} intervals hold for all {tests(found)} at once, by "
        "the smallest p of each flip; those of a category alone, and the false discovery rate by Benjamini and "
        "Hochberg, stand beside them in the files. The detectable gap is what would have been found with power "
        f"{s['power']:.0%}. Intervals of shares are percentiles of {s['draws']:,} bootstrap draws of whole groups."
    )


def _margin(found: Comparison):
    margin = found.settings["margin"]
    is_default = margin == Settings.margin
    yield (
        f"Gaps within ±{margin:g} nats per {found.unit} count as equivalent, "
        f"{'the default margin of hybridlm' if is_default else 'a margin chosen for this comparison'}. Verdicts read "
        "where the interval lies: equivalent inside the margin, differs if it excludes zero, undecided otherwise."
    )


def _regression(found: Comparison):
    if not found.regressions:
        if found.unit == "byte":
            yield "No regression was made, as the readings have no tokens in common."
        return
    fit = found.regressions[0]
    numbers = [c["name"] for c in fit["coefficients"] if not c["label"] and c["name"] != "intercept"]
    yield (
        "Adjusted gaps are from an ordinary least squares regression of the gap on "
        f"{_list([*fit['references'], *numbers])}, with errors clustered by group; they are what a label's gap would "
        "be if its tokens were average in all else."
    )


def _placebos(found: Comparison):
    s, level = found.settings, f"{found.settings['level']:.0%}"
    if s["seeds"]:
        yield (
            f"The seed envelope is the {level} prediction interval of one more of {_pairs(s['seeds'])} that "
            "differ in seed alone."
        )
    if s["placebo"]:
        yield (
            f"The placebo envelope is the {level} prediction interval of one more of {_pairs(s['placebo'])} that "
            "differ in training or size; profiles, gaps over the gap of all tokens, were compared, and scaled back to "
            "nats."
        )
    if not s["seeds"] and not s["placebo"]:
        yield (
            "No placebo pairs were given: nothing here tells an effect of the architecture from that of any better "
            "model."
        )


def _calibration(found: Comparison):
    if found.calibration:
        yield (
            "Expected calibration error is over 15 bins of equal mass, less its upward bias, beside the value a "
            "perfectly calibrated model would show; it is given only for labels known before the token."
        )


def _recall(found: Comparison):
    if found.recall:
        yield (
            "Recall efficiency is 1 minus the loss of repeated five-token sequences over that of their first "
            f"occurrence, for {found.recall[0]['repeats']:,} repeats whose first occurrence cost more than 2 nats on "
            "average over the readings."
        )


def _kind(found: Comparison):
    base = found.baseline
    yield f"All scores are of kind {base.kind}: {KINDS[base.kind]}"
    sees = {entry.sees for entry in found.readings}
    if len(sees) == 1:
        yield f"Predictions saw {base.sees}."
    else:
        yield "Predictions saw " + "; ".join(f"{entry.name}: {entry.sees}" for entry in found.readings) + "."
    stacks = "; ".join(
        f"{e.name}: {e.code or 'unknown engine'}, weights {e.checkpoint[:20] or 'unknown'}, tokenizer "
        f"{e.tokenizer[:20] or 'unknown'}"
        for e in found.readings
    )
    yield f"Scores came from {stacks}. Made with hybridlm {found.hybridlm}."


def _pairs(pairs) -> str:
    return f"{len(pairs)} pair{'s' * (len(pairs) > 1)}"


def _list(names) -> str:
    names = [name.replace("_", " ") for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
