"""A small corpus of three domains, prepared once for all tests that only read it."""

import json
import pathlib

import numpy as np
import pytest

from hybridlm.config.data import DataConfig
from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent

WORDS = ("the", "cat's", "house", "on", "a", "hill", "saw", "naïve", "München", "漢字", "of", "17", "don’t", "end\n")


def corpus(groups: int = 40) -> list[dict[str, str]]:
    """Documents of 2 to 59 words in three domains, three to a group; no two have the same text."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(2, 60))) for _ in range(3 * groups)]
    return [
        {"id": f"doc{n}", "group": f"group{n % groups}", "domain": ("prose", "code", "sql")[n % 3], "text": text}
        for n, text in enumerate(texts)
    ]


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("source") / "corpus.jsonl"
    path.write_text("\n".join(json.dumps(fields) for fields in corpus()))
    return path


@pytest.fixture(scope="session")
def config(source) -> DataConfig:
    return DataConfig(sources=(str(source),), vocab_size=300, row_length=32, validation=0.2, test=0.1)


@pytest.fixture(scope="session")
def prepared(config, tmp_path_factory):
    return prepare(config, tmp_path_factory.mktemp("prepared") / "data", progress=silent)
