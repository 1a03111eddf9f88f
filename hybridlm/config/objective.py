"""What a model is trained to predict, as data: a layout, a corruption and a place for the target.

Autoregression, prefix-LM, span corruption, masked LM, masked, uniform and block diffusion, Eso-LM and mixtures of them
are values of one record; the functions below give them by name. `hybridlm.objectives` turns a record into targets and
weights.
"""

import dataclasses
from collections.abc import Mapping

from hybridlm.config import objective_checks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """One objective of a mixture.

    Attributes:
      ratio: share of the mixture's possible targets, and weight of the objective's mean loss.
      layout: how documents are cut into blocks of mutually visible tokens: "causal" (every token its own block),
        "prefix" (the first n tokens one block, then causal), "bidirectional" (the document one block), "blocks", or
        "random_order" (causal along an order drawn anew for each document; positions stay those of the text).
      corruption: what happens to the input: "none", "absorbing" (tokens become the mask token with probability
        1 - alpha(t), one t a document or block), "uniform" (they become any token alike), "all" (every token is masked,
        t = 1), "masked_lm" (BERT's) or "spans" (runs of tokens are cut out and predicted behind the text).
      predicts: "next" stores a token's target at the position before it, "same" at its own position.
      streams: 1, or 2 for a clean copy of the text beside the noisy one, so that noisy blocks see clean earlier blocks.
      block_size: tokens per block for layout "blocks", counted from the start of each document.
      window: (left, right), how many other tokens of what the layout shows are visible on each side; () shows it all.
      schedule: alpha(t) of "absorbing" and "uniform": "linear", "cosine", "polynomial:k" for k > 0, or an import path
        "package.module:function" of the share 1 - alpha(t), a function of jax.numpy.
      rates: (smallest, largest) share of tokens that "absorbing" masks in training, drawn evenly; () is (0, 1). Scores
        are not clipped, so that they stay bounds.
      prefix: the smallest and largest share of a document that layout "prefix" shows; drawn uniformly in between.
      rate, keep, random: for "masked_lm", the share of tokens selected, and of these the shares left as they are and
        replaced by a random token (Devlin et al. 2019: 0.15, 0.1, 0.1). "spans" cuts out a share of `rate`.
      span: mean length of the runs of tokens that "spans" cuts out, or "masked_lm" selects together (1 to 2 span - 1).
      alpha_0: for "random_order", the share of tokens that come first, in random order; the rest follow left to right.
      clean_causal: True lets clean tokens beside noisy blocks see what is to their left alone, not their block.
      clean_weight: of the next-token loss of such a clean stream, beside a weight of 1 for the noisy one; 0 has none.
      across_documents: True lets attention cross document boundaries inside a packed row (plain causal only).
      builder: import path "package.module:function" of a user's own function, called like
        `hybridlm.objectives.single.build`, that builds the inputs instead; `streams` says how wide they are, and layout
        and corruption what is reported of them.
    """

    ratio: float = 1.0
    layout: str = "causal"
    corruption: str = "none"
    predicts: str = "next"
    streams: int = 1
    block_size: int = 0
    window: tuple[int, ...] = ()
    schedule: str = "linear"
    rates: tuple[float, ...] = ()
    prefix: tuple[float, ...] = ()
    rate: float = 0.15
    keep: float = 0.1
    random: float = 0.1
    span: float = 1.0
    alpha_0: float = 0.0
    clean_causal: bool = False
    clean_weight: float = 0.0
    across_documents: bool = False
    builder: str = ""

    def __post_init__(self):
        objective_checks.check(self)

    @property
    def is_bound(self) -> bool:
        """True if the loss is a likelihood bound, a token's part of it a share; without chance it would be exact."""
        return self.corruption in ("absorbing", "uniform") or self.layout == "random_order"

    @property
    def has_two_losses(self) -> bool:
        """True if the clean stream predicts too, which is reported apart."""
        return self.clean_weight > 0

    @property
    def is_autoregressive(self) -> bool:
        """True if every token is predicted from all clean tokens before it."""
        return self.layout == "causal" and self.corruption == "none" and not self.window and not self.builder

    @property
    def targets_per_token(self) -> float:
        """Expected share of a row's tokens that are possible targets."""
        return 1 - sum(self.prefix) / 2 if self.prefix else 1.0

    @property
    def weight_per_target(self) -> float:
        """Expected weight of a possible target; those of a bound make up for the tokens that a draw leaves out."""
        return self.rate if self.corruption == "masked_lm" else 1.0


def part_names(objectives: Mapping[str, Objective]) -> tuple[str, ...]:
    """Names of the losses of a mixture: each objective's own and, where its clean stream predicts too, `name.clean`."""
    pairs = ((name, (f"{name}.clean",) * objective.has_two_losses) for name, objective in objectives.items())
    return tuple(part for name, clean in pairs for part in (name, *clean))


def autoregressive(**changes) -> Objective:
    """Next-token prediction: -log p(x) = sum_i -log p(x_i | x_<i), exact."""
    return Objective(**changes)


def prefix_lm(low: float = 0.0, high: float = 0.9, **changes) -> Objective:
    """Next-token prediction after a prefix that is seen in both directions (Raffel et al. 2020, 1910.10683, §3.2.1)."""
    return Objective(layout="prefix", prefix=(low, high), **changes)


def masked_lm(rate: float = 0.15, **changes) -> Objective:
    """BERT's objective (Devlin et al. 2019, 1810.04805); `predicts="next"` is GPT-BERT's shift (2410.24159)."""
    return Objective(
        **{"layout": "bidirectional", "corruption": "masked_lm", "predicts": "same", "rate": rate, **changes}
    )


def span_corruption(rate: float = 0.15, mean: float = 3.0, **changes) -> Objective:
    """T5's spans in a decoder alone: UL2's R denoiser, X with a larger rate or mean (1910.10683 §3.1.4, 2205.05131).

    UL2's S denoiser is `prefix_lm`.
    """
    return Objective(**{"layout": "prefix", "corruption": "spans", "rate": rate, "span": mean, **changes})


def windowed_blocks(size: int, left: int, rate: float = 0.15, **changes) -> Objective:
    """Masked LM that sees its own block of `size` whole, and `left` tokens to the left if these reach further."""
    return Objective(
        **{
            "layout": "blocks",
            "corruption": "masked_lm",
            "predicts": "same",
            "block_size": size,
            "window": (max(left, size - 1), size - 1),
            "rate": rate,
            **changes,
        }
    )


def gpt_bert(causal: float = 1.0, masked: float = 1.0, rate: float = 0.15, **changes) -> dict[str, Objective]:
    """GPT-BERT: causal and masked rows in these ratios (the paper's 1:1 to 1:15), one head, and targets one to the left
    in both (Charpentier and Samuel 2024, 2410.24159). Changes are those of the masked rows, whose runs have 1 to 3
    tokens.
    """
    return {
        "causal": autoregressive(ratio=causal),
        "masked": masked_lm(rate, **{"predicts": "next", "span": 2.0, "ratio": masked, **changes}),
    }


def masked_diffusion(schedule: str = "linear", **changes) -> Objective:
    """MDLM / MD4: the NELBO of absorbing diffusion over whole documents (2406.07524 Eq. 10, 2406.04329 Eq. 5)."""
    return Objective(
        **{"layout": "bidirectional", "corruption": "absorbing", "predicts": "same", "schedule": schedule, **changes}
    )


def block_diffusion(size: int, schedule: str = "linear", **changes) -> Objective:
    """BD3-LM: blocks left to right, diffusion inside, clean and noisy streams side by side (2503.09573 Eq. 8)."""
    return Objective(
        **{
            "layout": "blocks",
            "corruption": "absorbing",
            "predicts": "same",
            "streams": 2,
            "block_size": size,
            "schedule": schedule,
            **changes,
        }
    )


def uniform_diffusion(schedule: str = "linear", **changes) -> Objective:
    """UDLM / Duo: the NELBO of diffusion whose noise is any token alike (2412.10193, 2506.10892)."""
    return masked_diffusion(schedule, **{"corruption": "uniform", **changes})


def eso_lm(alpha_0: float = 0.5, **changes) -> Objective:
    """Eso-LM (B): a share `alpha_0` of the tokens by diffusion, then the others left to right (2506.01928).

    -log p(x) <= E_z0 E_order sum_i -log p(x_i | x before i in the order), where z0 keeps each token with probability
    alpha_0, and the order puts the kept ones first at random. A token whose time of unmasking is uniform finds unmasked
    what comes before it in a random order, so this is the diffusion bound down to alpha_0 plus the autoregressive part.
    """
    return Objective(
        **{
            "layout": "random_order",
            "corruption": "all",
            "predicts": "same",
            "streams": 2,
            "alpha_0": alpha_0,
            **changes,
        }
    )


def shared_ar_diffusion(size: int, ar_weight: float = 1.0, schedule: str = "linear", **changes) -> Objective:
    """Autoregression and block diffusion in one network and one pass: the clean stream predicts its next token.

    Noisy blocks see the same causal states of earlier tokens that a cache holds, so either mode can verify the other's
    drafts: TiDAR (2511.08923), Set Block Decoding (2509.04185); with corruption="all" I-DLM (2604.11035).
    """
    return block_diffusion(size, schedule, **{"clean_causal": True, "clean_weight": ar_weight, **changes})
