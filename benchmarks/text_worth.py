"""What generated texts are worth, in words: their likelihood to a reader, their variety, and whether they parse.

    python -m benchmarks.text_worth TEXTS --tokenizer=runs/x/vocabulary --scorer=DIR

judges the texts that `benchmarks.samplers --texts=TEXTS` wrote, on any machine.
"""

import argparse
import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from benchmarks import text_quality
from benchmarks.subjects import PROMPTS
from hybridlm import masks
from hybridlm.data import tokenizer_files
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.interop import pretrained
from hybridlm.offline import networks
from hybridlm.sampling.canvas import log_probability
from hybridlm.sampling.network import Network
from hybridlm.sampling.predictions import of_network
from hybridlm.sampling.rows import facts_of

WIDTH = 64
"""Rows are judged in multiples of it, so that few programs judge all."""
CAUSAL = masks.causal() & masks.same_segment() & masks.valid()


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


def own_reading(network: Network) -> Scorer:
    """A model of these ids itself, left to right."""

    def score(prompts, rows):
        whole = [[*prompt, *row] for prompt, row in zip(prompts, rows, strict=True)]
        return perplexity(network, whole, [len(prompt) for prompt in prompts])

    return score


def published(path: str, tokenizer: Tokenizer) -> Scorer:
    """Published weights, which read with their own tokenizer the text that another one wrote."""
    model, params = pretrained.load_pretrained(path)
    config = dataclasses.replace(model.config, dtype="bfloat16", loop="scan")
    network, own = networks.of_decoder(config, model.vocab_size, params), tokenizer_files.load(path)

    def score(prompts, rows):
        before = [[own.bos, *ids] for ids in own.encode_batch(list(map(tokenizer.decode, prompts)))]
        after = own.encode_batch(list(map(tokenizer.decode, rows)))
        whole = [[*prompt, *row] for prompt, row in zip(before, after, strict=True)]
        return perplexity(network, whole, [len(prompt) for prompt in before])

    return score


def valid(tokenizer: Tokenizer, texts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Language -> share of texts that its parser takes, where there is one; texts come in turn, as prompts do."""
    languages, shares = list(PROMPTS), {}
    for number, language in enumerate(languages):
        if text_quality.available()[language]:
            found = [PROMPTS[language] + tokenizer.decode(row) for row in texts[number :: len(languages)]]
            shares[language] = sum(text_quality.is_valid(text, language) for text in found) / max(len(found), 1)
    return shares


def worth(
    tokenizer: Tokenizer, scorer: Scorer | None, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]
) -> str:
    """Likelihood, variety and validity of texts; there are as many for every prompt."""
    prompts = [prompts[number % len(prompts)] for number in range(len(texts))]
    likely = f"perplexity {scorer(prompts, texts):.1f}, " if scorer else ""
    variety = ", ".join(f"distinct-{n} {text_quality.distinct(texts, n):.3f}" for n in (1, 2, 3))
    shares = ", ".join(f"{language} {share:.0%}" for language, share in valid(tokenizer, texts).items())
    return (
        f"    {likely}entropy {text_quality.entropy(texts):.2f} nats, {variety}\n"
        f"    parses: {shares} of {len(texts) // len(PROMPTS)} each"
    )


def without_parsers() -> list[str]:
    """A line for every language that has no parser here."""
    missing = [language for language, there in text_quality.available().items() if not there]
    return [f"without {name}: its parser {text_quality.PARSERS[name][0]} is not installed" for name in missing]


def main() -> None:
    """Prints what the texts of every sampler are worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", help="what `benchmarks.samplers --texts` wrote")
    parser.add_argument("--tokenizer", required=True, help="directory with the tokenizer.json that wrote them")
    parser.add_argument("--scorer", required=True, help="directory of published weights with a tokenizer.json")
    flags = parser.parse_args()
    tokenizer = tokenizer_files.load(flags.tokenizer)
    scorer = published(flags.scorer, tokenizer)
    for line in without_parsers():
        print(line)
    for line in epath.Path(flags.texts).read_text().splitlines():
        found = json.loads(line)
        print(found["sampler"], worth(tokenizer, scorer, found["prompts"], found["texts"]), sep="\n", flush=True)


if __name__ == "__main__":
    main()
