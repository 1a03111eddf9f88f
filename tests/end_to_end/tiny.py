"""A run of seconds that still has everything: four objectives, three domains, held-out groups enough for intervals.

    python -m hybridlm train --config=tests/end_to_end/tiny.py --workdir=DIR --config.data.sources=TEXT

TEXT is a directory that `write_text` has filled.
"""

import json
import pathlib
import random

from hybridlm.config import command_line
from hybridlm.config.data import DataConfig
from hybridlm.config.evaluation import EvaluationConfig, standard_readings
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, prefix_lm
from hybridlm.config.training import CheckpointConfig, OptimizerConfig, TrainingConfig

WORDS = ("the", "a", "small", "old", "river", "house", "dog", "walks", "runs", "sees", "slowly", "and", "behind", "of")
GROUPS = {"train": 40, "validation": 32, "test": 4}


def get_config() -> Experiment:
    """Twenty steps of a decoder of 30,000 parameters."""
    return Experiment(
        name="tiny",
        data=DataConfig(sources=("text",), vocab_size=300, row_length=32),
        model=ModelConfig(
            width=32, layers=2, loop="scan", heads=4, kv_heads=2, ffn=48, head_bias=True, vocab_multiple=8
        ),
        objectives={
            "ar": autoregressive(ratio=0.3),
            "prefix": prefix_lm(0.0, 0.8, ratio=0.1),
            "block": block_diffusion(8, ratio=0.3),
            "masked": masked_diffusion(ratio=0.3),
        },
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup=4),
        training=TrainingConfig(steps=20, batch_rows=24, log_every=1),
        checkpoint=CheckpointConfig(every=5, keep=2),
        evaluation=EvaluationConfig(batch_rows=16, readings=standard_readings(block_size=8, samples=2), draws=100),
    )


def experiment(text: pathlib.Path, prepared: pathlib.Path | str = "", **changes: object) -> Experiment:
    """The config on a text, with changes by dotted name: `**{"training.steps": 3}`."""
    paths = {"data.sources": text, "data.prepared": prepared}
    return command_line.changed(get_config(), {name: str(value) for name, value in (paths | changes).items()})


def write_text(directory: pathlib.Path) -> None:
    """Fills a directory with one file of JSON lines per domain; the same bytes every time."""
    directory.mkdir(parents=True, exist_ok=True)
    for domain, write in (("prose", _prose), ("code", _code), ("numbers", _numbers)):
        dice = random.Random(domain)
        lines = [
            {"group": f"{split} {n}", "split": split, "text": write(dice)}
            for split, count in GROUPS.items()
            for n in range(count)
        ]
        (directory / f"{domain}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _prose(dice: random.Random) -> str:
    sentences = (" ".join(dice.choices(WORDS, k=dice.randint(3, 7))) for _ in range(dice.randint(2, 4)))
    return " ".join(f"{sentence.capitalize()}." for sentence in sentences)


def _code(dice: random.Random) -> str:
    def name():
        return dice.choice(("total", "count", "items", "x", "result"))

    lines = [f"    {name()} = {name()}[{dice.randint(0, 9)}]" for _ in range(dice.randint(1, 3))]
    return "\n".join([f"def {name()}({name()}):", *lines, f"    return {name()}\n"])


def _numbers(dice: random.Random) -> str:
    return "\n".join(f"{dice.randint(0, 9999)},{dice.random():.3f}" for _ in range(dice.randint(2, 5)))
