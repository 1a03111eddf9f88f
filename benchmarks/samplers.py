"""How fast every sampler writes, and beside it what the text is worth.

    python -m benchmarks.samplers                          SmolLM2-135M's shape, random weights, one accelerator
    python -m benchmarks.samplers --workdir=runs/x --scorer=DIR         a trained model; published weights judge it
    python -m benchmarks.samplers --preset=tiny --batches 1 2 --prompt=8 --tokens=16 --runs=2     a dry run on a CPU

One run is prompt and new tokens, from ids on the host to ids on the host; no row ends early. Batch size by batch size,
the largest first, all samplers compile at once, and then runs are timed one by one. Prints new tokens per second
(median and quartiles) and, of the largest batch, what the texts of all runs are worth: perplexity under the scorer,
which is published weights with their tokenizer.json or the model's own left-to-right reading where it has one, entropy
of a text's tokens in nats, and distinct n-grams; of a trained model also the share of Python, SQL, YAML and JSON that a
real parser takes. A trained model continues the beginnings of such texts, random weights random ids, and what those are
worth means nothing. Samplers of few steps come first. What is not compiled after `--limit` seconds is left out, and
a line says so.
"""

import argparse
import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import text_quality
from benchmarks.generate import SHAPES
from hybridlm import masks
from hybridlm.config.combination import average, refiner
from hybridlm.config.objective import autoregressive, block_diffusion, eso_lm, masked_diffusion
from hybridlm.config.sampling import COMBINED, SamplingConfig
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
from hybridlm.sampling.streaming import Writer
from hybridlm.sampling.written import NO_EOS
from hybridlm.training import networks, written_by_two
from hybridlm.training.opened import Opened, open_model

PROMPTS = {
    "python": 'def add(a, b):\n    """Returns the sum of two numbers."""\n',
    "sql": "SELECT name, price FROM products",
    "yaml": "name: build\non:\n  push:\n",
    "json": '{"name": "example", "version": ',
}
WIDTH = 256
"""Rows are judged in multiples of it, so that one program judges nearly all."""
CAUSAL = masks.causal() & masks.same_segment() & masks.valid()


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is timed. Attributes: size: ids that prompts are drawn from. opened: the run; None for random weights."""

    network: Network
    trained: Trained
    size: int
    opened: Opened | None = None

    @property
    def tokenizer(self) -> Tokenizer | None:
        return self.opened and self.opened.tokenizer


def random_weights(preset: str, block_size: int) -> Subject:
    """A network that knows every objective, and nothing else."""
    config, size = SHAPES[preset]
    params = jax.jit(functools.partial(decoder.init, config, size))(jax.random.key(0))
    objectives = {
        "ar": autoregressive(),
        "masked": masked_diffusion(),
        "block": block_diffusion(block_size),
        "eso": eso_lm(),
    }
    trained = Trained(objectives=objectives, mask_id=size - 1, eos=NO_EOS, size=size, never=(size - 1,))
    return Subject(networks.of_decoder(config, size, params, never_ids=(size - 1,)), trained, size - 1)


def from_workdir(path: str) -> Subject:
    """The newest checkpoint of a run, which never ends a text."""
    opened = open_model(path, overrides={})
    ids = opened.task.ids
    never = tuple(sorted({*ids.never, opened.tokenizer.eos}))
    opened = dataclasses.replace(
        opened, task=dataclasses.replace(opened.task, ids=dataclasses.replace(ids, never=never))
    )
    return Subject(networks.of_opened(opened), networks.trained(opened), opened.task.vocab_size, opened)


def contenders(subject: Subject, tokens: int) -> dict[str, SamplingConfig]:
    """What is compared, of all that fits the model."""
    block = max((objective.block_size for objective in subject.trained.objectives.values()), default=0)
    half, quarter = -(-tokens // 2), -(-tokens // 4)
    masked, blocks = {"sampler": "masked_diffusion"}, {"sampler": "block_diffusion", "chunk": tokens}
    asked = {
        "masked, confidence, 1/4 steps": {**masked, "order": "confidence", "steps": quarter},
        "masked, ancestral, 1/2 steps": {**masked, "order": "time", "steps": half},
        "masked, remasking, 1/2 steps": {**masked, "order": "time", "steps": half, "remask": 0.1},
        "masked, entropy bound 0.5": {**masked, "order": "entropy", "bound": 0.5},
        "masked, first hitting": masked,
        "uniform, 1/2 steps": {"sampler": "uniform_diffusion", "steps": half},
        "block, confidence, 1/4 steps": {**blocks, "order": "confidence", "steps": -(-block // 4) or None},
        "block, confidence 0.9": {**blocks, "order": "confidence", "threshold": 0.9},
        "block, first hitting": blocks,
        "Eso-LM, 1/4 steps": {"sampler": "eso_lm", "steps": quarter},
        "Eso-LM": {"sampler": "eso_lm"},
        "speculative": {"sampler": "speculative", "chunk": 64},
        "autoregressive": {"sampler": "autoregressive", "chunk": 64},
    }
    fits = {name for name, kind in samplers.SAMPLERS.items() if kind.fits(subject.trained)}
    asked = {name: values for name, values in asked.items() if values["sampler"] in fits}
    return {name: SamplingConfig(tokens=tokens, **values) for name, values in (asked | _joined(subject, fits)).items()}


def _joined(subject: Subject, fits: set[str]) -> dict[str, dict[str, Any]]:
    """Both sides of a model that has an autoregressive and a block-diffusion one."""
    if subject.opened is None or not {"autoregressive", "block_diffusion"} <= fits:
        return {}
    objectives = subject.trained.objectives.items()
    blocks = next(name for name, objective in objectives if samplers.is_denoising_blocks(objective))
    both = {"experts": ("ar", f"{blocks}:chain")}
    joined = {"average of both": average(**both), "refiner below 0.9": refiner(0.9, **both)}
    return {name: {"sampler": COMBINED, "combination": one, "chunk": 64} for name, one in joined.items()}


def prompts_for(subject: Subject, rows: int, length: int) -> list[list[int]]:
    """Beginnings of texts, in turn; for random weights so many random ids."""
    if subject.tokenizer is None:
        return np.random.default_rng(0).integers(3, subject.size, (rows, length)).tolist()
    encoded = [[subject.tokenizer.bos, *ids] for ids in subject.tokenizer.encode_batch(list(PROMPTS.values()))]
    return [encoded[row % len(encoded)] for row in range(rows)]


def writer_of(subject: Subject, config: SamplingConfig) -> tuple[Writer, Any]:
    """A sampler, and the network or the networks that it writes with."""
    if config.combination is not None:
        return written_by_two.writer(subject.opened, config)
    return samplers.make(config, subject.trained), subject.network


def write(writer: Writer, network: Any, prompts: Sequence[Sequence[int]], seed: int = 0) -> list[list[int]]:
    """New ids of every prompt."""
    keys_B = streaming.row_keys(seed, len(prompts))
    state = streaming.write(writer, network, prompts, keys_B, lambda new: [False] * len(new))
    return np.asarray(state.written.tokens_BN).tolist()


def timed(writer: Writer, network: Any, prompts: Sequence[Sequence[int]], runs: int) -> tuple[np.ndarray, list]:
    """Seconds of so many runs, and all their texts."""
    found, texts = [], []
    for run in range(runs):
        begin = time.perf_counter()
        texts += write(writer, network, prompts, seed=run)
        found.append(time.perf_counter() - begin)
    return np.array(found), texts


@functools.partial(jax.jit, static_argnames=("mask",))
def _log_p(network, tokens_BT, mask):
    predict, facts = of_network(network, mask, predicts="next"), facts_of(tokens_BT.shape)
    return log_probability(predict(tokens_BT, facts, jnp.zeros(tokens_BT.shape)), tokens_BT)


def perplexity(network: Network, rows: Sequence[Sequence[int]], skip: Sequence[int]) -> float:
    """exp of the mean NLL of each row's tokens after the first `skip`, read left to right; 32 rows at once."""
    total, count, length = 0.0, 0, -(-max(map(len, rows)) // WIDTH) * WIDTH
    for part in itertools.batched(zip(rows, skip, strict=True), 32):
        tokens_BT = np.zeros((32, length), np.int32)
        for row, (ids, _) in enumerate(part):
            tokens_BT[row, : len(ids)] = ids
        log_p_BT = np.asarray(_log_p(network, jnp.asarray(tokens_BT), CAUSAL))
        for log_p_T, (ids, skipped) in zip(log_p_BT, part, strict=False):
            total, count = total - log_p_T[skipped : len(ids)].sum(), count + len(ids) - skipped
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
    config = dataclasses.replace(model.config, dtype="bfloat16", loop="scan")
    network, tokenizer = networks.of_decoder(config, model.vocab_size, params), tokenizer_files.load(path)

    def score(prompts, rows):
        before = [
            [tokenizer.bos, *ids] for ids in tokenizer.encode_batch([subject.tokenizer.decode(p) for p in prompts])
        ]
        after = list(tokenizer.encode_batch([subject.tokenizer.decode(row) for row in rows]))
        whole = [[*prompt, *row] for prompt, row in zip(before, after, strict=True)]
        return perplexity(network, whole, [len(prompt) for prompt in before])

    return score


def scorer_of(subject: Subject, path: str) -> Scorer | None:
    """Published weights at a path, or the model's own reading where it has one; compiled."""
    if not path and not samplers.SAMPLERS["autoregressive"].fits(subject.trained):
        return None
    scorer = published(path, subject) if path else own_reading(subject)
    short = prompts_for(subject, 1, 8)
    scorer(short, short)
    return scorer


def valid(subject: Subject, texts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Language -> share of texts that its parser takes, where there is one; texts come in turn, as prompts do."""
    languages, shares = list(PROMPTS), {}
    for number, language in enumerate(languages):
        if text_quality.available()[language]:
            found = [PROMPTS[language] + subject.tokenizer.decode(row) for row in texts[number :: len(languages)]]
            shares[language] = sum(text_quality.is_valid(text, language) for text in found) / max(len(found), 1)
    return shares


def worth(
    subject: Subject, scorer: Scorer | None, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]
) -> str:
    """Likelihood, variety and validity of texts."""
    prompts = [prompts[number % len(prompts)] for number in range(len(texts))]
    likely = f"perplexity {scorer(prompts, texts):.1f}, " if scorer else ""
    variety = ", ".join(f"distinct-{n} {text_quality.distinct(texts, n):.3f}" for n in (1, 2, 3))
    lines = f"    {likely}entropy {text_quality.entropy(texts):.2f} nats, {variety}"
    if subject.tokenizer is None:
        return lines
    shares = ", ".join(f"{language} {share:.0%}" for language, share in valid(subject, texts).items())
    return f"{lines}\n    parses: {shares} of {len(texts) // len(PROMPTS)} each"


def compiled(
    made: Mapping[str, tuple[Writer, Any]], prompts: Sequence[Sequence[int]], pool: ThreadPoolExecutor, until: float
) -> list[str]:
    """Names of the samplers that have written these prompts once by then, all at once."""
    first = {name: pool.submit(write, *sampler, prompts) for name, sampler in made.items()}
    done, _ = wait(first.values(), timeout=max(until - time.perf_counter(), 0))
    for found in done:
        found.result()
    return [name for name, found in first.items() if found in done]


def speed(seconds: np.ndarray, tokens: int) -> str:
    """Tokens per second of runs that each wrote so many."""
    low, middle, high = np.percentile(tokens / seconds, (25, 50, 75))
    return f"{middle:12,.0f} tokens/s ({low:,.0f}-{high:,.0f})"


def main() -> None:
    """Prints one block per batch size, a line per sampler."""
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
    parser.add_argument("--limit", type=float, default=180, help="seconds after which nothing more is compiled")
    flags = parser.parse_args()
    begin = time.perf_counter()
    subject = from_workdir(flags.workdir) if flags.workdir else random_weights(flags.preset, flags.block)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {flags.workdir or flags.preset}")
    print(f"{flags.tokens} new tokens, {flags.runs} runs each, temperature 1")
    for language, there in text_quality.available().items():
        if subject.tokenizer and not there:
            print(f"without {language}: its parser {text_quality.PARSERS[language][0]} is not installed")
    asked = {name: one for name, one in contenders(subject, flags.tokens).items() if flags.only in name}
    made = {name: writer_of(subject, config) for name, config in asked.items()}
    with ThreadPoolExecutor() as pool:
        scoring = pool.submit(scorer_of, subject, flags.scorer)
        for rows in sorted(flags.batches, reverse=True):
            measure(subject, made, prompts_for(subject, rows, flags.prompt), scoring, pool, begin, flags)


def measure(
    subject: Subject,
    made: Mapping[str, tuple[Writer, Any]],
    prompts: Sequence[Sequence[int]],
    scoring: Future,
    pool: ThreadPoolExecutor,
    begin: float,
    flags: argparse.Namespace,
) -> None:
    """Times all samplers at one batch size, and judges what they write at the largest."""
    until = begin + flags.limit
    if time.perf_counter() > until:
        print(f"batch {len(prompts)} left out, as --limit={flags.limit:g} seconds have passed")
        return
    ready = compiled(made, prompts, pool, until)
    scorer = scoring.result()
    print(f"batch {len(prompts)}, compiled after {time.perf_counter() - begin:.0f} s", flush=True)
    for name, sampler in made.items():
        if name not in ready:
            print(f"  {name}: left out, as --limit={flags.limit:g} seconds have passed", flush=True)
            continue
        seconds, texts = timed(*sampler, prompts, flags.runs)
        print(f"  {name:32}{speed(seconds, len(prompts) * flags.tokens)}", flush=True)
        if len(prompts) == max(flags.batches):
            print(worth(subject, scorer, prompts, texts), flush=True)


if __name__ == "__main__":
    main()
