"""The benchmark of several GPUs: what it prints follows from what was timed, and a tiny one runs to its end."""

import argparse
import sys
import types

import pytest

from benchmarks import multi_gpu, overlap
from hybridlm.config.mesh import MeshConfig

FLAGS = argparse.Namespace(rows=2, length=4096, steps=4, pairs=4, chunk=64, loop="", remat="", layers=0)


class Timed:
    """A run whose steps take what they are told to: two of warm-up first."""

    ready, expected = 1.0, types.SimpleNamespace(expected=0.4)

    def __init__(self, seconds):
        self._seconds = iter(seconds)

    def start(self):
        return self

    def take(self):
        return next(self._seconds)

    def work(self):
        return 8e14, 2048.5

    def memory(self):
        return {"parameters": 12.552}

    def kernels(self):
        return overlap.Overlap(hidden=0.06, exposed=0.04, work=0.36)


def test_scaling_doubles_the_devices():
    assert [multi_gpu.counts(devices) for devices in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4], [1, 2, 4, 8]]


def test_meshes_use_all_devices_and_say_what_they_divide():
    names = {devices: list(multi_gpu.spread_over(devices, 2)) for devices in (1, 2, 8)}
    assert names == {1: ["fsdp"], 2: ["fsdp", "tensor"], 8: ["fsdp", "fsdp x tensor"]}
    assert multi_gpu.spread_over(8, 2)["fsdp x tensor"] == MeshConfig(data=1, fsdp=4, tensor=2)


def test_what_is_printed_of_a_step(monkeypatch, capsys):
    """Median 0.5 s on two of eight devices: 2 rows x 4096 / 0.5, and 4e14 FLOP a device / 0.5 s of a peak of 1e15."""
    monkeypatch.setattr(multi_gpu, "peak_flops", lambda: 8e15)
    run = Timed([9, 9, 0.6, 0.5, 0.5, 0.4])
    speed = multi_gpu.show(multi_gpu.Case("7B", "ar", MeshConfig(data=1, fsdp=2)), run, FLAGS)
    assert speed == multi_gpu.Speed(tokens=2 * 4096 / 0.5, mfu=pytest.approx(0.8))
    assert capsys.readouterr().out == (
        "\n7B ar, fsdp 2: 500.0 ms (475.0-525.0, 4 steps), 16,384 tokens/s per device, MFU 0.800\n"
        "  8e+14 FLOP a step, a query sees 2,048 keys on average; ready in 1 s\n"
        "  planned: 400.0 ms, an error of -20.0%\n"
        "  GiB on a device: parameters 12.55\n"
        "  collectives: 60.0 ms hidden, 40.0 ms exposed (10.0% of all kernels' time); other kernels 360.0 ms\n"
    )


def test_categories_are_timed_in_turn_and_compared_pair_by_pair(monkeypatch, capsys):
    """With categories 1.1, 1.2, 1.3, 1.4 s, without 1.0 each: the middle of the ratios is 1.25."""
    spent = {True: [9, 1.1, 1.2, 1.3, 1.4], False: [9, 1.0, 1.0, 1.0, 1.0]}
    monkeypatch.setattr(multi_gpu, "Run", lambda one, _: Timed(spent[one.training.categories]))
    multi_gpu.show_categories(multi_gpu.Case("tiny", "ar", MeshConfig(data=1)), FLAGS, None)
    said = "tiny ar, one device, with category metrics over without: 1.2500 (1.1750-1.3250) in 4 pairs"
    assert capsys.readouterr().out.strip() == said


def test_the_speed_of_a_device_is_that_beside_one_alone(monkeypatch, capsys):
    monkeypatch.setattr(multi_gpu.jax, "device_count", lambda: 4)
    seconds = iter([1.0, 1.25, 2.0])  # as many rows a device each, so a longer step is a slower device
    monkeypatch.setattr(multi_gpu, "Run", lambda *_: Timed([0, 0] + [next(seconds)] * 4))
    multi_gpu.show_scaling(argparse.Namespace(**vars(FLAGS), ratio="1.3B"), None)
    assert capsys.readouterr().out.endswith("beside one alone: 1: 1.000, 2: 0.800, 4: 0.500\n")


@pytest.mark.slow
def test_a_tiny_one_runs_to_its_end_and_every_mesh_has_the_losses_of_one_device(monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(sys, "argv", ["multi_gpu", "--preset=tiny", "--steps=2", "--objectives=ar", "--pairs=2"])
    multi_gpu.main()
    said = capsys.readouterr().out
    for line in ("tiny ar, fsdp 8:", "tiny ar, fsdp 4 x tensor 2:", "tiny ar, one device:", "generated documents"):
        assert line in said
    apart = [float(line.split()[-2]) for line in said.splitlines() if line.startswith("losses")]
    assert len(apart) == 3 and max(apart) < 1e-6
