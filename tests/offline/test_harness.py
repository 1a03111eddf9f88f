"""A task of the lm-evaluation-harness on a few local documents says what `evaluate` says of the same text."""

import json
import math

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.offline import harness
from hybridlm.offline.harness import Harness
from tests.fixtures.small_run import devices

pytestmark = pytest.mark.filterwarnings("default")

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {output}
doc_to_text: "{context}"
doc_to_target: "{target}"
metric_list:
{metrics}
"""
METRICS = {
    "loglikelihood": "  - {metric: perplexity}\n  - {metric: acc}",
    "loglikelihood_rolling": "  - {metric: bits_per_byte}\n  - {metric: byte_perplexity}",
}


@pytest.fixture(scope="module")
def documents(whole):
    """(number, first two thirds, the text) of five; a template would lose a line break at the end."""
    sizes = np.bincount(whole.document_T)
    found = [(int(n), whole.texts[n].decode()) for n in np.flatnonzero((sizes > 12) & (sizes < 32))]
    return [(n, text[: len(text) * 2 // 3].rstrip(), text) for n, text in found if text == text.strip()][:5]


@pytest.fixture(scope="module")
def answers(trained, documents, tmp_path_factory):
    """Results and samples by task."""
    lm_eval = pytest.importorskip("lm_eval", reason="needs the extra harness")
    from lm_eval.tasks import TaskManager

    directory = tmp_path_factory.mktemp("tasks")
    data = directory / "mine.jsonl"
    lines = [{"context": head, "rest": text[len(head) :], "text": text} for _, head, text in documents]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kinds = {"loglikelihood": ("{{context}}", "{{rest}}"), "loglikelihood_rolling": ("", "{{text}}")}
    for output, (context, target) in kinds.items():
        yaml = TASK.format(
            name=output, data=data, output=output, context=context, target=target, metrics=METRICS[output]
        )
        # a target that opens with a space keeps it
        (directory / f"{output}.yaml").write_text(yaml + 'target_delimiter: ""\n')
    with pytest.MonkeyPatch.context() as patch, devices(1):
        patch.setenv("HF_DATASETS_CACHE", str(directory / "cache"))
        model = Harness(str(trained), batch_size=4)
        manager = TaskManager(include_path=str(directory), include_defaults=False)
        return lm_eval.simple_evaluate(
            model=model, tasks=list(kinds), task_manager=manager, log_samples=True, bootstrap_iters=0
        )


def nats(whole, number, after=0):
    here = (whole.document_T == number) & (whole.byte_end_T > np.maximum(whole.byte_start_T, after))
    return float(whole.columns["score/ar"][here].sum(dtype=np.float64)), bool(whole.columns["correct/ar"][here].all())


def test_continuations(answers, whole, documents):
    samples = answers["samples"]["loglikelihood"]
    for (number, head, _), sample in zip(documents, sorted(samples, key=lambda s: s["doc_id"]), strict=True):
        value, is_greedy = sample["filtered_resps"][0]
        ours, is_right = nats(whole, number, len(head.encode()))
        assert value == pytest.approx(-ours, rel=1e-5) and is_greedy == is_right


def test_bits_per_byte(answers, whole, documents):
    total = sum(nats(whole, number)[0] for number, *_ in documents)
    size = sum(len(text.encode()) for *_, text in documents)
    found = answers["results"]["loglikelihood_rolling"]["bits_per_byte,none"]
    assert found == pytest.approx(total / size / math.log(2), rel=1e-5)


def test_without_the_package_the_fix_is_named(monkeypatch):
    monkeypatch.setattr(harness, "LM", None)
    with pytest.raises(ConfigError, match=r"needs the package lm_eval: pip install 'hybridlm\[harness\]'"):
        Harness("runs/a")
