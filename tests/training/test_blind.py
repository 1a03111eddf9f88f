"""A mask that leaves targets nothing to see is told before the first step, by objective."""

import jax
import jax.numpy as jnp
import pytest

from hybridlm import masks
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, shared_ar_diffusion
from hybridlm.objectives import mixture
from hybridlm.objectives.text import Ids, from_batch
from hybridlm.training import blind, work

ROW = {
    "tokens": [[2, *range(3, 10), 2, *range(10, 13)]],
    "segment_ids": [[1] * 8 + [2] * 4],
    "positions": [[*range(8), *range(4)]],
}
"""Two documents of eight and four tokens, of which the first cannot be a target."""
ALL = (1.0, 1.0)  # every token is masked
STRICT = masks.custom(lambda q, k: q.position > k.position)
NO_CONTEXT = masks.custom(lambda q, k: (k.stream == 0) & (q.index != k.index))
CLEAN_ALONE = masks.custom(lambda q, k: q.stream == 0)


def told(objectives, mask):
    """objective -> (blind, targets) of those that are warned of."""
    rows = {name: jnp.asarray(column * 2 * len(objectives)) for name, column in ROW.items()}
    ids = Ids(mask=1, never=(0, 1, 2), size=20)
    inputs = mixture.build(objectives, from_batch(rows), ids, jax.random.key(0), also=mask)
    return list(blind.warnings(inputs, work.visible_keys(inputs)))


@pytest.mark.parametrize(
    ("objectives", "mask", "shares"),
    [
        # the two places that open a document see nothing before them
        ({"ar": autoregressive()}, STRICT, ["objective 'ar': 20.0% of its targets (4 of 20 "]),
        # a target is never the first of its document, so all see that
        ({"masked": masked_diffusion(rates=ALL)}, STRICT, []),
        # first blocks have no clean block before them, and their own is hidden
        ({"block": block_diffusion(4, rates=ALL)}, NO_CONTEXT, ["objective 'block': 60.0% of its targets (12 of 20 "]),
        (
            {"ar": autoregressive(), "block": block_diffusion(4, rates=ALL)},
            CLEAN_ALONE,
            ["objective 'block': 100.0% of its targets (20 of 20 "],
        ),
        (
            {"both": shared_ar_diffusion(4, rates=ALL)},
            masks.custom(lambda q, k: q.stream == 1),
            ["objective 'both.clean': 100.0% of its targets (20 of 20 "],
        ),
        ({"ar": autoregressive(), "block": block_diffusion(4, rates=ALL)}, masks.strided(2), []),
        ({"ar": autoregressive(), "masked": masked_diffusion(rates=ALL)}, None, []),
    ],
)
def test_targets_that_see_nothing_are_counted_by_objective(objectives, mask, shares):
    found = told(objectives, mask)
    assert [line[: len(share)] for line, share in zip(found, shares, strict=True)] == shares


def test_the_mask_and_the_ways_out_are_named():
    (line,) = told({"ar": autoregressive()}, STRICT)
    assert line == (
        "objective 'ar': 20.0% of its targets (4 of 20 in the first batch) are predicted where the mask "
        "((k.position < q.position) & causal() & same_segment() & valid()) shows no token at all, from nothing but the "
        "input of that very place. Unless that is meant, widen the `mask` of the config, which is joined by & with "
        "what each objective shows, or leave the objective out."
    )
