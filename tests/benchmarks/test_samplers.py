"""The table of samplers: all compile before one is timed, what is not ready is left out, and one batch is judged."""

import argparse
from concurrent.futures import Future

import numpy as np

from benchmarks import samplers


class Bench:
    """Samplers that take half a second each, and a diary of what they were asked."""

    def __init__(self, diary, **is_ready):
        self._diary, self._is_ready = diary, is_ready

    def ask(self, method, rows, until):
        self._diary.append(method)

    def answer(self, until):
        return self._is_ready or None

    def call(self, method, name, rows):
        self._diary.append(name)
        return np.array([0.5, 0.5]), [[7, 8, 9]] * rows

    def stop(self):
        self._diary.append("stopped")


def lines(capsys, rows, diary=None):
    diary, judging = [] if diary is None else diary, Future()
    judging.set_result(lambda name, texts, rows: f"    {len(texts)} texts")
    benches = {"one": Bench(diary, fast=True, late=False), "two": Bench(diary, slow=True), "three": Bench(diary)}
    flags = argparse.Namespace(limit=60, tokens=10, batches=[4, 2])
    samplers.measure(benches, rows, judging, 0.0, flags)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()[1:]]


def test_the_largest_batch_is_judged_and_what_is_not_ready_is_left_out(capsys):
    assert lines(capsys, rows=4) == [
        "fast 80 tokens/s (80-80)",
        "4 texts",
        "late: left out, it failed or was not compiled after 60 s",
        "slow 80 tokens/s (80-80)",
        "4 texts",
        "three: left out, it failed or was not compiled after 60 s",
    ]
    assert lines(capsys, rows=2)[:2] == [
        "fast 40 tokens/s (40-40)",
        "late: left out, it failed or was not compiled after 60 s",
    ]


def test_nothing_is_timed_while_others_compile(capsys):
    diary = []
    lines(capsys, rows=2, diary=diary)
    assert diary == ["compiled", "compiled", "compiled", "stopped", "fast", "slow"]


def test_every_kind_of_sampler_has_a_process_or_a_share_of_one(monkeypatch):
    monkeypatch.setattr(samplers, "Elsewhere", lambda make, flags, kinds: kinds)
    for processes in (2, 5, 100):
        shares = samplers.started(argparse.Namespace(processes=processes)).values()
        assert sorted(kind for kinds in shares for kind in kinds) == sorted(samplers.KINDS)
        assert len(shares) == min(processes, len(samplers.KINDS))


def test_runs_that_were_not_timed_say_so():
    assert samplers.speed(np.array([]), 10) == "not timed"
