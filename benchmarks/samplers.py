"""How fast every sampler writes, and beside it what the text of a trained model is worth.

    python -m benchmarks.samplers                          SmolLM2-135M's shape, random weights, one accelerator
    python -m benchmarks.samplers --workdir=runs/x --scorer=DIR         a trained model; published weights judge it
    python -m benchmarks.samplers --preset=tiny --batches 1 2 --prompt=8 --tokens=16 --runs=2 --processes=1
                                                                                               a dry run on a CPU

One run is prompt and new tokens, from ids on the host to ids on the host; no row ends early. Samplers of one kind share
a process, as they share what tuning finds. Batch size by batch size, as they are given, all samplers compile at once,
and then runs are timed one by one. Prints new tokens per second (median and quartiles). A trained model continues the
beginnings of programs and data, and of the largest batch the texts of all runs are judged: perplexity under the scorer,
which is published weights with their tokenizer.json or the model's own left-to-right reading where it has one, entropy
of a text's tokens in nats, distinct n-grams, and the share of Python, SQL, YAML and JSON that a real parser takes.
Random weights continue random ids. `--runs=0` judges the texts of the run that compiles, which on a CPU is half the
work, and `--texts=FILE` leaves judging to `benchmarks.text_worth`. What is not compiled after `--limit` seconds is left
out, and a line says so.
"""

import argparse
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import jax
import numpy as np
from etils import epath

from benchmarks import subjects, text_worth
from benchmarks.elsewhere import Elsewhere, Here
from benchmarks.generate import SHAPES
from benchmarks.subjects import Subject
from hybridlm.config.sampling import COMBINED, SamplingConfig
from hybridlm.offline import written_by_two
from hybridlm.sampling import samplers, streaming
from hybridlm.sampling.streaming import Writer

KINDS = (*samplers.SAMPLERS, COMBINED)
GRACE = 10
"""Seconds after `--limit` in which a process may still say what it has compiled."""


def subject_of(flags: argparse.Namespace) -> Subject:
    """The run that flags name, or random weights."""
    return subjects.from_workdir(flags.workdir) if flags.workdir else subjects.random_weights(flags.preset, flags.block)


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


class Bench:
    """The samplers of some kinds, as far as they fit the subject."""

    def __init__(self, flags: argparse.Namespace, kinds: Sequence[str]):
        self._flags, self._subject, self._pool = flags, subject_of(flags), ThreadPoolExecutor()
        asked = subjects.contenders(self._subject, flags.tokens).items()
        asked = {name: config for name, config in asked if config.sampler in kinds and flags.only in name}
        self._made = {name: writer_of(self._subject, config) for name, config in asked.items()}

    def compiled(self, rows: int, until: float) -> dict[str, bool]:
        """Sampler -> whether it has written so many rows once by then; all compile at once."""
        prompts = subjects.prompts_for(self._subject, rows, self._flags.prompt)
        first = {name: self._pool.submit(write, *sampler, prompts) for name, sampler in self._made.items()}
        done, _ = wait(first.values(), timeout=max(until - time.perf_counter(), 0))
        for found in done:
            if found.exception():
                traceback.print_exception(found.exception())
        self._texts = {name: found.result() for name, found in first.items() if found in done and not found.exception()}
        return {name: name in self._texts for name in first}

    def timed(self, name: str, rows: int) -> tuple[np.ndarray, list[list[int]]]:
        """Seconds of each run, and all their texts; without runs, those of the one that compiled."""
        prompts, seconds = subjects.prompts_for(self._subject, rows, self._flags.prompt), []
        texts = [] if self._flags.runs else self._texts[name]
        for run in range(self._flags.runs):
            begin = time.perf_counter()
            texts += write(*self._made[name], prompts, seed=run)
            seconds.append(time.perf_counter() - begin)
        return np.array(seconds), texts


Judge = Callable[[str, Sequence[Sequence[int]], int], str]
"""judge(sampler, texts, rows) -> what its texts are worth, which were written so many rows at a time."""


def judge_of(flags: argparse.Namespace) -> Judge | None:
    """Who judges the texts of a trained model, here or later; nobody those of random weights."""
    if not flags.workdir:
        return None
    subject = subject_of(flags)
    if flags.texts:
        epath.Path(flags.texts).write_text("")
        return lambda name, texts, rows: kept(flags.texts, name, subjects.prompts_for(subject, rows, 0), texts)
    for line in text_worth.without_parsers():
        print(line)
    scorer = scorer_of(subject, flags.scorer)
    return lambda name, texts, rows: text_worth.worth(
        subject.tokenizer, scorer, subjects.prompts_for(subject, rows, 0), texts
    )


def scorer_of(subject: Subject, path: str) -> text_worth.Scorer | None:
    """Published weights at a path, or the model's own reading where it has one; compiled."""
    if not path and not samplers.SAMPLERS["autoregressive"].fits(subject.trained.objectives):
        return None
    scorer = text_worth.published(path, subject.tokenizer) if path else text_worth.own_reading(subject.network)
    short = subjects.prompts_for(subject, 1, 0)
    scorer(short, short)
    return scorer


def kept(path: str, name: str, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]) -> str:
    """Adds a line to the file of texts."""
    path, line = epath.Path(path), json.dumps({"sampler": name, "prompts": prompts, "texts": texts})
    path.write_text(f"{path.read_text()}{line}\n")
    return f"    {len(texts)} texts in {path}"


def started(flags: argparse.Namespace) -> dict[str, Elsewhere | Here]:
    """Benches by what they are for, each in a process unless there is one alone."""
    shares = [KINDS[number :: flags.processes] for number in range(min(flags.processes, len(KINDS)))]
    place = Here if flags.processes == 1 else Elsewhere
    return {", ".join(kinds): place(Bench, flags, kinds) for kinds in shares}


def speed(seconds: np.ndarray, tokens: int) -> str:
    """Tokens per second of runs that each wrote so many."""
    if not len(seconds):
        return "not timed"
    low, middle, high = np.percentile(tokens / seconds, (25, 50, 75))
    return f"{middle:12,.0f} tokens/s ({low:,.0f}-{high:,.0f})"


def ready(benches: Mapping[str, Elsewhere | Here], rows: int, until: float) -> dict[str, dict[str, bool]]:
    """Of every bench, sampler -> whether it has compiled for so many rows; one that says nothing is ended."""
    for bench in benches.values():
        bench.ask("compiled", rows, until)
    found = {label: bench.answer(until + GRACE) for label, bench in benches.items()}
    for label in [label for label, said in found.items() if said is None]:
        benches[label].stop()
        found[label] = {label: False}
    return found


def measure(
    benches: Mapping[str, Elsewhere | Here], rows: int, judging: Future, begin: float, flags: argparse.Namespace
) -> None:
    """Times what compiles for so many rows, one sampler after the other, and judges the largest batch."""
    found, judge = ready(benches, rows, begin + flags.limit), judging.result()
    print(f"batch {rows}, compiled after {time.perf_counter() - begin:.0f} s", flush=True)
    for label, name, is_ready in [(label, *one) for label, said in found.items() for one in said.items()]:
        timed = benches[label].call("timed", name, rows) if is_ready else None
        if timed is None:
            print(f"  {name}: left out, it failed or was not compiled after {flags.limit:g} s", flush=True)
            continue
        seconds, texts = timed
        print(f"  {name:32}{speed(seconds, rows * flags.tokens)}", flush=True)
        if judge and rows == max(flags.batches):
            print(judge(name, texts, rows), flush=True)


def main() -> None:
    """Prints one block per batch size, a line per sampler."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="SmolLM2-135M", choices=SHAPES)
    parser.add_argument("--workdir", default="", help="of a run; random weights of the preset by default")
    parser.add_argument("--scorer", default="", help="directory of published weights with a tokenizer.json")
    parser.add_argument("--texts", default="", help="file of texts to be judged elsewhere by benchmarks.text_worth")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 8, 1])
    parser.add_argument("--prompt", type=int, default=64, help="tokens of each prompt, for random weights")
    parser.add_argument("--tokens", type=int, default=128, help="new tokens")
    parser.add_argument("--block", type=int, default=16, help="block size of random weights")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="samplers whose name contains this")
    parser.add_argument("--limit", type=float, default=180, help="seconds after which nothing more is compiled")
    parser.add_argument("--processes", type=int, default=len(KINDS), help="that compile; 1 is this one")
    flags = parser.parse_args()
    begin = time.perf_counter()
    # each process takes what it needs of the accelerator's memory, and no more
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    benches = started(flags)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {flags.workdir or flags.preset}")
    print(f"{flags.tokens} new tokens, {flags.runs} runs each, temperature 1", flush=True)
    with ThreadPoolExecutor() as pool:
        judging = pool.submit(judge_of, flags)
        for rows in flags.batches:
            measure(benches, rows, judging, begin, flags)
    for bench in benches.values():
        bench.stop()


if __name__ == "__main__":
    main()
