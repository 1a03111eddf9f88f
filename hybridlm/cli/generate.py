"""`hybridlm generate`: a trained or published model continues prompts."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hybridlm.cli.flags import Parser
from hybridlm.config.errors import require

if TYPE_CHECKING:
    from hybridlm.config.combination import Combination
    from hybridlm.config.sampling import SamplingConfig

DESCRIPTION = """\
Continues prompts with a trained or published model, on one device.

  hybridlm generate --model=runs/quickstart --prompt="The river"                      token by token, as it was trained
  hybridlm generate --model=runs/quickstart --prompt="The river" --temperature=0      always the likeliest token
  hybridlm generate --model=runs/quickstart --prompt="The" --prompt="def " --num=3    six texts in one batch
  hybridlm generate --model=EleutherAI/pythia-70m --prompt="def add(" --stop="\\n\\n"    published; up to a blank line
  hybridlm generate --model=runs/quickstart --prompt="The" --sampler=speculative      drafts by its own diffusion side

A sampler needs a model trained for it:
  autoregressive    next-token prediction; one token at a time
  speculative       next-token prediction and diffusion; blocks drafted at once, then verified: the same law, faster
                    where drafts are good
  masked_diffusion  masked diffusion over whole texts; all tokens at once, in --steps passes by --order
  block_diffusion   diffusion by blocks; block after block, each in --steps passes
  uniform_diffusion diffusion whose noise is other tokens
  eso_lm            Eso-LM; its share of the tokens in random order, in --steps passes, then the others left to right
  combined          two of --experts, named as --readings of `hybridlm evaluate` are, joined by --combination, which is
                    average(), product(), frequency_gate(-6), learned_gate(weights=...), token_adaptive() or
                    refiner(0.9); drawn from what `hybridlm evaluate` scores. An expert may be of another run:

  hybridlm generate --model=runs/ar --prompt="The" --sampler=combined --experts=ar,block:chain@runs/diffusion \\
    --combination="refiner(0.9)"

Orders are random, left_to_right, confidence, margin, entropy, or time for the reverse process itself. Fewer steps than
tokens are faster and less exact.

The same --seed gives the same texts, and no text depends on what the others say. A single one is printed while it is
written.
"""


def run(argv: Sequence[str]) -> int:
    """Generates; returns the exit code."""
    flags, overrides = _parser().read(argv)

    from hybridlm.config.sampling import check_prompts

    check_prompts(flags.prompt)
    config = _config(flags)

    from hybridlm.offline.generate import generate

    return generate(flags.model, flags.prompt, config, step=flags.step, picture=flags.picture, overrides=overrides)


def _parser() -> Parser:
    parser = Parser("generate", DESCRIPTION)
    parser.add_argument("--model", required=True, help="directory of a run or of safetensors, a GGUF file, or a hub id")
    parser.add_argument("--prompt", action="append", required=True, help="text to continue; may be repeated")
    parser.add_argument("--sampler", default="autoregressive", help="how tokens are written; see above")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens at most")
    parser.add_argument("--num", type=int, default=1, help="texts per prompt")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="0 takes the likeliest token, 1 samples as trained"
    )
    parser.add_argument("--top_k", type=int, default=0, help="draw from so many of the likeliest ids; 0 from all")
    parser.add_argument("--top_p", type=float, default=1.0, help="draw from the fewest ids with this much probability")
    parser.add_argument("--stop", action="append", default=[], help="text ends before this string; may be repeated")
    parser.add_argument("--block_size", type=int, default=0, help="tokens per block; that of training by default")
    parser.add_argument("--steps", type=int, help="of a diffusion sampler; one per token by default")
    parser.add_argument("--order", default="random", help="in which a diffusion sampler writes; see above")
    parser.add_argument("--threshold", type=float, default=0.0, help="with --order=confidence, write at once from here")
    parser.add_argument(
        "--bound", type=float, default=0.0, help="with --order=entropy, nats that may be written at once"
    )
    parser.add_argument("--remask", type=float, default=0.0, help="with --order=time, share of revisions allowed")
    parser.add_argument("--experts", default="", help="of --sampler=combined: two readings, with a comma; see above")
    parser.add_argument("--combination", default="", help="how they are joined, such as average(0.3)")
    parser.add_argument("--picture", default="", help="HTML file for the steps of a diffusion sampler")
    parser.add_argument("--step", type=int, default=-1, help="checkpoint to read; the newest valid one by default")
    return parser


def _config(flags: argparse.Namespace) -> "SamplingConfig":
    from hybridlm.config.sampling import Choice, SamplingConfig

    return SamplingConfig(
        sampler=flags.sampler,
        tokens=flags.tokens,
        num=flags.num,
        seed=flags.seed,
        choice=Choice(temperature=flags.temperature, top_k=flags.top_k, top_p=flags.top_p),
        stop=tuple(_unescaped(text) for text in flags.stop),
        block_size=flags.block_size,
        steps=flags.steps,
        order=flags.order,
        threshold=flags.threshold,
        bound=flags.bound,
        remask=flags.remask,
        combination=_combination(flags.combination, flags.experts),
    )


def _combination(call: str, experts: str) -> "Combination | None":
    require(
        bool(call) or not experts,
        f"--experts={experts} is of --sampler=combined alone, and needs --combination, such as 'average()', to say how "
        "they are joined; add it, or leave --experts out.",
    )
    if not call:
        return None
    from hybridlm.config.written_combinations import parse

    return parse(call, tuple(filter(None, experts.split(","))))


def _unescaped(text: str) -> str:
    """Shells hand over backslash and n where a line break is meant."""
    return text.replace("\\n", "\n").replace("\\t", "\t")
