"""How fast every sampler writes, and beside it what the text is worth.

    python -m benchmarks.samplers                          SmolLM2-135M's shape, random weights, one accelerator
    python -m benchmarks.samplers --workdir=runs/x --scorer=DIR         a trained model; published weights judge it
    python -m benchmarks.samplers --preset=tiny --batches 1 2 --prompt=8 --tokens=16 --runs=2     a dry run on a CPU

One run is prompt and new tokens, from ids on the host to ids on the host; no row ends early. Prints new tokens per
second (median and quartiles), then what the texts of the largest batch are worth: perplexity under the scorer, which is
published weights with their tokenizer.json or the model's own left-to-right reading where it has one, entropy of a
text's tokens in nats, and distinct n-grams; of a trained model also the share of Python, SQL, YAML and JSON that a real
parser takes. A trained model continues the beginnings of such texts, random weights random ids, and what those are
worth means nothing. Needs no grain and no pyarrow.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import SingleDeviceSharding

from benchmarks import text_quality
from benchmarks.generate import SHAPES
from hybridlm import masks
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion
from hybridlm.config.sampling import SamplingConfig
from hybridlm.data import tokenizer_files
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.interop import pretrained
from hybridlm.models import decoder
from hybridlm.sampling import samplers, streaming
from hybridlm.sampling.canvas import log_probability
from hybridlm.sampling.network import Network
from hybridlm.sampling.predictions import of_network
from hybridlm.sampling.rows import facts_of
from hybridlm.sampling.samplers import Trained
from hybridlm.sampling.written import NO_EOS
from hybridlm.training import networks, workdir
from hybridlm.training.checkpoints import Checkpoints

PROMPTS = {
    "python": 'def add(a, b):\n    """Returns the sum of two numbers."""\n',
    "sql": "SELECT name, price FROM products",
    "yaml": "name: build\non:\n  push:\n",
    "json": '{"name": "example", "version": ',
}
CAUSAL = masks.causal() & masks.same_segment() & masks.valid()


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is timed. Attributes: size: ids that prompts are drawn from. tokenizer: None for random weights."""

    network: Network
    trained: Trained
    size: int
    tokenizer: Tokenizer | None = None


def random_weights(preset: str, block_size: int) -> Subject:
    """A network that knows every objective, and nothing else."""
    config, size = SHAPES[preset]
    params = jax.jit(functools.partial(decoder.init, config, size))(jax.random.key(0))
    objectives = {"ar": autoregressive(), "masked": masked_diffusion(), "block": block_diffusion(block_size)}
    trained = Trained(objectives=objectives, mask_id=size - 1, eos=NO_EOS, size=size, never=(size - 1,))
    return Subject(networks.of_decoder(config, size, params, never_ids=(size - 1,)), trained, size - 1)


def from_workdir(path: str) -> Subject:
    """The newest checkpoint of a run."""
    source = epath.Path(path)
    experiment, tokenizer = workdir.read_config(source), tokenizer_files.load(source / workdir.VOCABULARY)
    config = dataclasses.replace(experiment.model, loop="unroll", remat="none")
    size, here = tokenizer.vocab_size, SingleDeviceSharding(jax.devices()[0])
    shapes = decoder.shapes(config, size)
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), shapes)
    checkpoints = Checkpoints(source / workdir.CHECKPOINTS, read_only=True)
    params = checkpoints.restore_params(checkpoints.latest_valid(), target)
    never = tuple(sorted({tokenizer.pad, tokenizer.bos, tokenizer.mask} | {tokenizer.eos}))
    about = {"mask_id": tokenizer.mask, "eos": NO_EOS, "size": size, "never": never}
    trained = Trained(objectives=experiment.objectives, mask=experiment.mask, **about)
    return Subject(networks.of_decoder(config, size, params, never_ids=never), trained, size, tokenizer)


def contenders(subject: Subject, tokens: int) -> dict[str, SamplingConfig]:
    """What is compared, of all that fits the model."""
    block = max((objective.block_size for objective in subject.trained.objectives.values()), default=0)
    asked = {
        "autoregressive": {"sampler": "autoregressive", "chunk": 64},
        "speculative": {"sampler": "speculative", "chunk": 64},
        "masked, first hitting": {"sampler": "masked_diffusion"},
        "masked, ancestral, 1/2 steps": {"sampler": "masked_diffusion", "order": "time", "steps": -(-tokens // 2)},
        "masked, remasking, 1/2 steps": {
            "sampler": "masked_diffusion",
            "order": "time",
            "steps": -(-tokens // 2),
            "remask": 0.1,
        },
        "masked, confidence, 1/4 steps": {
            "sampler": "masked_diffusion",
            "order": "confidence",
            "steps": -(-tokens // 4),
        },
        "masked, entropy bound 0.5": {"sampler": "masked_diffusion", "order": "entropy", "bound": 0.5},
        "uniform, 1/2 steps": {"sampler": "uniform_diffusion", "steps": -(-tokens // 2)},
        "block, first hitting": {"sampler": "block_diffusion", "chunk": tokens},
        "block, confidence, 1/4 steps": {
            "sampler": "block_diffusion",
            "order": "confidence",
            "steps": -(-block // 4) or None,
            "chunk": tokens,
        },
        "block, confidence 0.9": {
            "sampler": "block_diffusion",
            "order": "confidence",
            "threshold": 0.9,
            "chunk": tokens,
        },
    }
    fits = {name for name, kind in samplers.SAMPLERS.items() if kind.fits(subject.trained)}
    return {
        name: SamplingConfig(tokens=tokens, **values) for name, values in asked.items() if values["sampler"] in fits
    }


def prompts_for(subject: Subject, rows: int, length: int) -> list[list[int]]:
    """Beginnings of texts, in turn; for random weights so many random ids."""
    if subject.tokenizer is None:
        return np.random.default_rng(0).integers(3, subject.size, (rows, length)).tolist()
    encoded = [[subject.tokenizer.bos, *ids] for ids in subject.tokenizer.encode(list(PROMPTS.values()))]
    return [encoded[row % len(encoded)] for row in range(rows)]


def write(subject: Subject, config: SamplingConfig, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """New ids of every prompt."""
    writer, keys_B = samplers.make(config, subject.trained), streaming.row_keys(0, len(prompts))
    heard = lambda new: [False] * len(prompts)  # noqa: E731
    state = streaming.write(writer, subject.network, prompts, keys_B, heard)
    return np.asarray(state.written.tokens_BN).tolist()


def seconds(subject: Subject, config: SamplingConfig, prompts: Sequence[Sequence[int]], runs: int) -> np.ndarray:
    """Of so many runs after the first, which compiles."""
    found = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        write(subject, config, prompts)
        found.append(time.perf_counter() - begin)
    return np.array(found[1:])


@functools.partial(jax.jit, static_argnames=("mask",))
def _log_p(network, tokens_BT, mask):
    predict, facts = of_network(network, mask, predicts="next"), facts_of(tokens_BT.shape)
    return log_probability(predict(tokens_BT, facts, jnp.zeros(tokens_BT.shape)), tokens_BT)


def perplexity(network: Network, rows: Sequence[Sequence[int]], skip: Sequence[int]) -> float:
    """exp of the mean NLL of each row's tokens after the first `skip`, read left to right; 8 rows at once."""
    total, count, length = 0.0, 0, max(map(len, rows))
    tokens_BT = np.array([[*row, *[0] * (length - len(row))] for row in rows])
    for first in range(0, len(rows), 8):
        log_p_BT = np.asarray(_log_p(network, jnp.asarray(tokens_BT[first : first + 8]), CAUSAL))
        for log_p_T, row, skipped in zip(log_p_BT, rows[first:], skip[first:], strict=False):
            total, count = total - log_p_T[skipped : len(row)].sum(), count + len(row) - skipped
    return float(np.exp(total / max(count, 1)))


Scorer = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], float]
"""scorer(prompts, new ids) -> perplexity of the new text."""


def own_reading(subject: Subject) -> Scorer:
    """The model itself, left to right."""

    def score(prompts, rows):
        whole = [[*prompt, *row] for prompt, row in zip(prompts, rows, strict=True)]
        return perplexity(subject.network, whole, [len(prompt) for prompt in prompts])

    return score


def published(path: str, subject: Subject) -> Scorer:
    """Published weights, which read the text with their own tokenizer."""
    model, params = pretrained.load_pretrained(path)
    config = dataclasses.replace(model.config, dtype="bfloat16")
    network, tokenizer = networks.of_decoder(config, model.vocab_size, params), tokenizer_files.load(path)

    def score(prompts, rows):
        before = [[tokenizer.bos, *ids] for ids in tokenizer.encode([subject.tokenizer.decode(p) for p in prompts])]
        after = list(tokenizer.encode([subject.tokenizer.decode(row) for row in rows]))
        whole = [[*prompt, *row] for prompt, row in zip(before, after, strict=True)]
        return perplexity(network, whole, [len(prompt) for prompt in before])

    return score


def scorer_of(subject: Subject, path: str) -> Scorer | None:
    """Published weights at a path, or the model's own reading where it has one."""
    if path:
        return published(path, subject)
    return own_reading(subject) if samplers.SAMPLERS["autoregressive"].fits(subject.trained) else None


def valid(subject: Subject, config: SamplingConfig, num: int) -> dict[str, float]:
    """Language -> share of texts that its parser takes, of those there is a parser for."""
    shares = {}
    for language in (language for language, there in text_quality.available().items() if there):
        (ids,) = subject.tokenizer.encode([PROMPTS[language]])
        rows = write(subject, config, [[subject.tokenizer.bos, *ids]] * num)
        texts = [PROMPTS[language] + subject.tokenizer.decode(row) for row in rows]
        shares[language] = sum(text_quality.is_valid(text, language) for text in texts) / num
    return shares


def main() -> None:
    """Prints one block per sampler."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="SmolLM2-135M", choices=SHAPES)
    parser.add_argument("--workdir", default="", help="of a run; random weights of the preset by default")
    parser.add_argument("--scorer", default="", help="directory of published weights with a tokenizer.json")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--prompt", type=int, default=64, help="tokens of each prompt, for random weights")
    parser.add_argument("--tokens", type=int, default=128, help="new tokens")
    parser.add_argument("--block", type=int, default=16, help="block size of random weights")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="samplers whose name contains this")
    flags = parser.parse_args()
    subject = from_workdir(flags.workdir) if flags.workdir else random_weights(flags.preset, flags.block)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {flags.workdir or flags.preset}")
    print(f"{flags.tokens} new tokens, {flags.runs} runs each, temperature 1")
    for language, there in text_quality.available().items():
        if subject.tokenizer and not there:
            print(f"without {language}: its parser {text_quality.PARSERS[language][0]} is not installed")
    scorer = scorer_of(subject, flags.scorer)
    prompts = prompts_for(subject, max(flags.batches), flags.prompt)
    for name, config in contenders(subject, flags.tokens).items():
        if flags.only not in name:
            continue
        print(name)
        for rows in flags.batches:
            speeds = rows * flags.tokens / seconds(subject, config, prompts[:rows], flags.runs)
            low, middle, high = np.percentile(speeds, (25, 50, 75))
            print(f"  batch {rows:3d} {middle:12,.0f} tokens/s ({low:,.0f}-{high:,.0f})", flush=True)
        texts = write(subject, config, prompts)
        likely = f"perplexity {scorer(prompts, texts):.1f}, " if scorer else ""
        variety = ", ".join(f"distinct-{n} {text_quality.distinct(texts, n):.3f}" for n in (1, 2, 3))
        print(f"  {likely}entropy {text_quality.entropy(texts):.2f} nats, {variety}")
        if subject.tokenizer:
            shares = valid(subject, config, max(flags.batches))
            print("  parses: " + ", ".join(f"{language} {share:.0%}" for language, share in shares.items()), flush=True)


if __name__ == "__main__":
    main()
