"""A checkpoint read on its own says what the report of its training said, and refuses to be read as something else."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from etils import epath

from hybridlm.cli.main import main
from hybridlm.config.exit_codes import ExitCode
from hybridlm.evaluation import kept as keeping
from hybridlm.evaluation.kept import Kept
from hybridlm.storage import workdir
from hybridlm.storage.checkpoints import Checkpoints
from tests.end_to_end import tiny
from tests.end_to_end.results import scores

pytestmark = pytest.mark.usefixtures("small_and_plain")


def evaluate(model, directory, *words):
    return main(["evaluate", f"--model={model}", f"--workdir={directory}", *words])


def tokens(directory):
    return pd.read_parquet(directory / "tokens.parquet")


def test_the_report_of_training_is_reproduced_to_the_last_digit(trained, tmp_path):
    assert evaluate(trained, tmp_path / "again") == ExitCode.DONE
    assert scores(tmp_path / "again") == scores(trained)
    pd.testing.assert_frame_equal(tokens(tmp_path / "again"), tokens(trained), check_exact=True)


def test_also_when_the_rows_of_the_run_are_gone(trained, tmp_path):
    moved = shutil.copytree(trained, tmp_path / "moved", ignore=shutil.ignore_patterns("data"))
    assert evaluate(moved, tmp_path / "again") == ExitCode.DONE
    assert scores(tmp_path / "again") == scores(trained)
    assert (tmp_path / "again" / "data" / "manifest.json").exists(), "they were made again, from the sources"


def test_an_earlier_checkpoint_can_be_named(trained, tmp_path, capsys):
    few = "--config.evaluation.rows=16"
    assert evaluate(trained, tmp_path / "earlier", "--step=15", few) == ExitCode.DONE
    run = json.loads((tmp_path / "earlier" / "scores.json").read_text())["run"]
    assert (run["step"], run["split"]) == (15, "validation")
    assert evaluate(trained, tmp_path / "earlier", "--step=3") == ExitCode.CONFIG
    assert f"--step=3 is not among the checkpoints of {trained}: [15, 20]." in capsys.readouterr().err


DOCUMENT = "The old dog walks behind the river.\n\ndef items(x):\n    return x[3] + 41\n"


def as_text(directory):
    path = directory / "mine.txt"
    path.write_text(DOCUMENT)
    return path


def as_lines(directory):
    path = directory / "mine.jsonl"
    path.write_text(json.dumps({"text": DOCUMENT, "language": "klingon"}))
    return path


def as_directory(directory):
    (directory / "mine").mkdir()
    (directory / "mine" / "a.txt").write_text(DOCUMENT)
    (directory / "mine" / "b.txt").write_text(DOCUMENT)
    return directory / "mine"


@pytest.mark.parametrize(
    ("write", "names"), [(as_text, ["mine.txt"]), (as_lines, ["mine.jsonl:1"]), (as_directory, ["a.txt", "b.txt"])]
)
def test_a_text_of_ones_own_is_scored_byte_for_byte(trained, tmp_path, write, names):
    path, documents = write(tmp_path), len(names)
    assert evaluate(trained, tmp_path / "report", f"--data={path}") == ExitCode.DONE
    found = tokens(tmp_path / "report")
    assert sorted({name.rpartition("/")[2] for name in found["document"]}) == names
    spelt = [DOCUMENT.encode()[a:b] for a, b in zip(found["byte_start"], found["byte_end"])]
    assert b"".join(spelt).decode() == DOCUMENT * documents, "every token lies where its bytes are"
    columns, rows = scores(tmp_path / "report")
    (all_tokens,) = [row for row in rows if (row["family"], row["column"]) == ("all", "ar")]
    assert all_tokens["tokens"] == len(found)
    assert all_tokens["mean"] == pytest.approx(found["score/ar"].mean(), rel=1e-5)
    ours, runs = (json.loads((place / "scores.json").read_text())["run"] for place in (tmp_path / "report", trained))
    assert (ours["split"], ours["tokenizer"], ours["step"]) == (str(path), runs["tokenizer"], 20)
    assert ours["data"] != runs["data"]
    bits = {column["name"]: column["bits_per_byte"] for column in columns}
    assert bits["ar"] == pytest.approx(found["score/ar"].sum() / 0.6931472 / (documents * len(DOCUMENT)), rel=1e-5)


def test_windows_give_every_token_its_context_and_score_it_once(trained, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text(DOCUMENT * 4)
    words = (f"--data={path}", "--readings=ar")
    assert evaluate(trained, tmp_path / "cut", *words) == ExitCode.DONE
    assert evaluate(trained, tmp_path / "windows", *words, "--config.evaluation.context=24") == ExitCode.DONE
    cut, windows = (tokens(tmp_path / name) for name in ("cut", "windows"))
    assert cut["token"].tolist() == windows["token"].tolist(), "the same tokens, each once and in order"
    assert cut["position"].tolist() == windows["position"].tolist() == list(range(len(cut)))
    assert cut["label/copy"].tolist() == windows["label/copy"].tolist(), "and labelled as the whole document is"
    np.testing.assert_allclose(cut["score/ar"][:31], windows["score/ar"][:31], rtol=1e-5)
    assert not np.allclose(cut["score/ar"][31:], windows["score/ar"][31:]), "the others see more than they did"


def test_several_models_are_scored_one_by_one_and_each_once(trained, tmp_path, capsys):
    earlier = shutil.copytree(trained, tmp_path / "earlier", ignore=shutil.ignore_patterns("20"))
    words = (f"--baseline={earlier}", "--readings=ar", "--config.evaluation.rows=16")
    assert evaluate(trained, tmp_path / "both", *words) == ExitCode.DONE
    names = [tmp_path / "both", tmp_path / "both" / "baselines" / "earlier"]
    said = f"next: hybridlm compare {names[1]} {names[0]} --output={names[0] / 'compared'}"
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == said and printed.count("next: ") == 1
    assert main([*said.split()[2:], "--families=word_class"]) == ExitCode.DONE, "it can be typed as it stands"
    capsys.readouterr()
    first = [json.loads((name / "scores.json").read_text())["run"] for name in names]
    assert [run["step"] for run in first] == [20, 15]
    assert first[0]["data"] == first[1]["data"] and first[0]["values"] != first[1]["values"]
    assert first[0]["weights"] != first[1]["weights"]

    (names[1] / "scores.json").unlink()  # as if stopped before its end
    before = (names[0] / "scores.json").stat().st_mtime_ns
    assert evaluate(trained, tmp_path / "both", *words) == ExitCode.DONE
    assert (names[0] / "scores.json").stat().st_mtime_ns == before, "it was not scored again"
    overall, report, *_ = capsys.readouterr().out.splitlines()
    assert overall.startswith("overall, in nats per token: unigram ") and "ar " in overall
    assert report == f"report: {names[0]}/report.html, beside it scores.csv, tokens.parquet, scores.json"
    assert json.loads((names[1] / "scores.json").read_text())["run"]["values"] == first[1]["values"]


def test_an_interrupted_call_goes_on_and_writes_the_same_bytes(trained, tmp_path, monkeypatch):
    words = ("--readings=ar,masked", "--config.evaluation.batch_rows=8")
    assert evaluate(trained, tmp_path / "whole", *words) == ExitCode.DONE
    keep, read = Kept.append, []
    monkeypatch.setattr(keeping, "SOONEST", 0.0)

    def interrupted(self, arrays):
        if len(self) == 1:
            raise KeyboardInterrupt
        keep(self, arrays)

    monkeypatch.setattr(Kept, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(trained, tmp_path / "stopped", *words)
    assert (tmp_path / "stopped" / "partial").exists()
    monkeypatch.setattr(Kept, "append", lambda self, arrays: read.append(len(self)) or keep(self, arrays))
    assert evaluate(trained, tmp_path / "stopped", *words) == ExitCode.DONE
    assert read[0] == 1, "the first batch was not read again"
    for name in ("scores.json", "scores.csv", "tokens.parquet"):
        whole, stopped = ((tmp_path / place / name).read_bytes() for place in ("whole", "stopped"))
        assert whole == stopped, name
    assert not (tmp_path / "stopped" / "partial").exists()


REFUSED = {
    "rows that overlap": (
        ("--config.evaluation.context=8",),
        "only readings from left to right can make use; leave out prefix, block, masked (hybridlm evaluate takes "
        "--readings=ar).",
    ),
    "an unknown reading": (("--readings=arr",), "--readings names 'arr', which is no reading of this model"),
    "another --workdir": ((), "--workdir must differ from --model"),
    "training": (
        ("--config.training.steps=40",),
        "--config.training.steps would change what the checkpoint is; reading it may change only evaluation., mesh., "
        "model.attention_backend, data.prepared, data.sources.",
    ),
    "the network": (("--config.model.dtype=bfloat16",), "--config.model.dtype would change what the checkpoint is"),
    "a kernel of another machine": (("--config.model.attention_backend=cudnn",), "cuDNN runs on NVIDIA GPUs, and this"),
    "one reading to combine": (("--readings=ar", "--combine=m=average()"), "and --readings names 1; name two, such as"),
    "the same reading twice": (("--readings=ar,ar", "--combine=m=average()"), "must name two different readings"),
    "a second reading that there is not": (
        ("--readings=ar,arr", "--combine=m=average()"),
        "--readings names 'arr', which is no reading of this model",
    ),
    "a bound to combine": (
        ("--readings=ar,block", "--combine=m=average()"),
        "names 'block', a bound or a mixture of orders, behind whose values stands no one distribution",
    ),
    "a reading that does not fit": (
        ("--config.evaluation.readings.block.objective.block_size=7",),
        "evaluation.readings.block.block_size=7 does not divide data.row_length=32",
    ),
}


@pytest.mark.parametrize(("words", "says"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_another_model_is_refused_before_its_weights_are_read(
    trained, tmp_path, capsys, monkeypatch, words, says
):
    monkeypatch.setattr(Checkpoints, "latest_valid", pytest.fail)
    directory = tmp_path if words else trained
    assert evaluate(trained, directory, *words) == ExitCode.CONFIG
    assert says in capsys.readouterr().err


def test_more_context_than_rows_hold_is_refused(trained, tmp_path, capsys):
    assert evaluate(trained, tmp_path, "--readings=ar", "--config.evaluation.context=31") == ExitCode.CONFIG
    assert (
        "evaluation.context=31 leaves no room for tokens to score in rows of 32, of which one is BOS; at most 30 can"
        in capsys.readouterr().err
    )


def test_a_directory_without_a_run_or_a_checkpoint_is_refused(trained, tmp_path, capsys):
    assert evaluate(tmp_path, tmp_path / "report") == ExitCode.CONFIG
    assert f"{tmp_path} holds no run: config.json is missing." in capsys.readouterr().err
    workdir.claim(epath.Path(tmp_path), tiny.get_config())
    assert evaluate(tmp_path, tmp_path / "report") == ExitCode.CONFIG
    assert f"{tmp_path} holds no checkpoint yet; let `hybridlm train` save one" in capsys.readouterr().err


def test_weights_are_never_read_with_another_vocabulary_or_precision(trained, tmp_path, capsys):
    """Somebody put the files of another run beside them."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "text.jsonl").write_text("".join(path.read_text() for path in sorted(_text_of(trained).iterdir())[:2]))
    changed = shutil.copytree(trained, tmp_path / "changed", ignore=shutil.ignore_patterns("data"))
    assert evaluate(changed, tmp_path / "report", f"--config.data.sources={other}") == ExitCode.CONFIG
    assert "was made with another tokenizer and data, so its weights mean something else" in capsys.readouterr().err

    config = (changed / "config.json").read_text()
    (changed / "config.json").write_text(config.replace('"dtype": "float32"', '"dtype": "bfloat16"'))
    assert evaluate(changed, tmp_path / "narrow") == ExitCode.CONFIG
    assert "config.json has another model than checkpoint 20 was trained with" in capsys.readouterr().err


def _text_of(trained):
    return epath.Path(workdir.read_config(trained).data.sources[0])
