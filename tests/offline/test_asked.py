"""What cannot be scored as it is asked for is refused before weights are read, text is cut, or a file is made."""

import dataclasses
import json
import shutil

import pytest
from etils import epath

from hybridlm.cli.main import main
from hybridlm.config.exit_codes import ExitCode
from hybridlm.offline import trained as of_runs
from hybridlm.offline.opened import Saved
from hybridlm.storage import workdir

pytestmark = pytest.mark.usefixtures("small_and_plain")


@pytest.fixture
def refusal(trained, tmp_path, monkeypatch, capsys):
    """What is said of flags that are refused before work starts; nothing is left of --workdir."""
    monkeypatch.setattr(Saved, "read", lambda self: pytest.fail(f"{self.source} was opened"))
    monkeypatch.setattr(of_runs, "prepare", lambda *_: pytest.fail("rows were made"))

    def refuse(*words):
        report = tmp_path / "reports" / "new"
        assert main(["evaluate", f"--model={trained}", f"--workdir={report}", *words]) == ExitCode.CONFIG
        assert not report.parent.exists(), "nothing was made"
        return capsys.readouterr().err

    return refuse


@pytest.fixture
def changed(trained, tmp_path):
    """The run as it would be with other values in a part of its config, in a directory of its own."""

    def change(part, **values):
        directory = epath.Path(shutil.copytree(trained, tmp_path / "changed", ignore=shutil.ignore_patterns("data")))
        config = workdir.read_config(directory)
        config = dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **values)})
        workdir.claim(directory, config)
        return directory

    return change


def test_a_baseline_that_is_not_there(refusal, trained, tmp_path):
    gone = tmp_path / "gone"
    assert f"--baseline={gone}: {gone} holds no run: there is no such directory" in refusal(f"--baseline={gone}")
    shutil.copytree(trained, tmp_path / "empty", ignore=shutil.ignore_patterns("checkpoints"))
    assert "empty holds no checkpoint yet" in refusal(f"--baseline={tmp_path / 'empty'}")


def test_a_baseline_that_is_no_other(refusal, trained, tmp_path):
    assert f"--baseline={trained} is --model itself, so nothing could differ" in refusal(f"--baseline={trained}")
    two = [f"--baseline={tmp_path / parent / 'run'}" for parent in "ab"]
    assert "of which two end alike, and reports are called by these ends" in refusal(*two)


def test_a_baseline_that_is_not_read_so(refusal, changed, trained):
    readings = workdir.read_config(trained).evaluation.readings
    other = changed("evaluation", readings={"ar": readings["block"], "block": readings["block"]})
    assert (
        f"--baseline={other}: --readings names 'masked', which is no reading of this model; known are ar, block"
        in refusal(f"--baseline={other}", "--readings=masked")
    )
    assert (
        f"--baseline={other} is read as share and --model={trained} as exact, and kinds are never compared; name "
        "readings of one kind by --readings, or score the two in calls of their own."
        in refusal(f"--baseline={other}", "--readings=ar")
    )


OF_TEXT = {
    "other sources": (("data", {"validation": 0.3}), (), "data.validation is 0.3 there and 0.04 here. Name one text"),
    "another split": (("evaluation", {"split": "test"}), (), 'evaluation.split is "test" there and "validation" here.'),
    "fewer rows": (("evaluation", {"rows": 8}), (), "evaluation.rows is 8 there and 0 here; data.tokenizer is "),
    "as many longer rows": (("data", {"row_length": 64}), ("--config.evaluation.rows=8",), "length is 64 there and 32"),
}


@pytest.mark.parametrize(("change", "words", "says"), OF_TEXT.values(), ids=OF_TEXT)
def test_a_baseline_that_would_read_another_text(refusal, changed, change, words, says):
    part, values = change
    other = changed(part, **values)
    told = refusal(f"--baseline={other}", *words)
    assert f"--baseline={other} would be scored on other held-out text than --model=" in told and says in told


def test_what_is_said_of_tokens_alone_does_not_part_texts(changed, trained, tmp_path, monkeypatch):
    """Rows of another length hold the same text, and on a text of one's own all runs are alike."""
    monkeypatch.setattr(Saved, "read", lambda self: (_ for _ in ()).throw(RuntimeError("opened")))
    other, text = changed("data", row_length=64, validation=0.3), tmp_path / "mine.txt"
    text.write_text("The old dog walks behind the river.")
    words = [f"--model={trained}", f"--baseline={other}", f"--workdir={tmp_path / 'report'}"]
    with pytest.raises(RuntimeError, match="opened"):
        main(["evaluate", *words, f"--data={text}"])
    assert not (tmp_path / "report").exists(), "whatever stopped it"


def test_a_text_that_a_baseline_cannot_read(refusal, changed, trained, tmp_path):
    """Tokens come in one vocabulary, and that of the baseline is another one."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    shutil.copy(trained / "vocabulary" / "tokenizer.json", tokens)
    (tokens / "tokens.json").write_text(json.dumps({"tokenizer": "tokenizer.json", "splits": {"train": ["*.bin"]}}))
    (tokens / "a.bin").write_bytes(bytes(range(20, 40)))
    other = changed("data")
    file = other / "vocabulary" / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    told = refusal(f"--baseline={other}", f"--data={tokens}")
    assert f"--baseline={other}: {tokens} came as tokens of another tokenizer than the model's" in told


def test_a_text_that_is_not_there(refusal, tmp_path):
    assert f"the source '{tmp_path / 'gone.txt'}' names no file" in refusal(f"--data={tmp_path / 'gone.txt'}")


def test_directories_of_ours_are_no_text(refusal, trained):
    assert f"--data={trained} is the directory of a run, not text; leave --data out" in refusal(f"--data={trained}")
    rows = trained / "data"
    assert f"--data={rows} holds prepared rows, not text; give the text that they" in refusal(f"--data={rows}")


def test_rows_that_are_named_are_there(refusal, tmp_path):
    gone = tmp_path / "gone"
    assert f"{gone} holds no manifest.json, so it is no prepared data" in refusal(f"--config.data.prepared={gone}")


def test_a_family_that_is_to_be_shown_and_is_none(refusal):
    said = "evaluation.families names 'word_clas', which is no family of labels; did you mean 'word_class'?"
    assert said in refusal("--config.evaluation.families=('copy', 'word_clas')")


def test_spaces_between_readings_are_none_of_their_names(refusal, trained):
    assert "--readings names 'arr', which" in refusal("--readings=ar, arr")


def test_a_file_is_no_place_for_a_report(trained, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_text("")
    assert main(["evaluate", f"--model={trained}", f"--workdir={taken / 'x'}"]) == ExitCode.CONFIG
    said = f"--workdir={taken / 'x'}: {taken} is a file, and a directory is needed there; choose another name."
    assert said in capsys.readouterr().err


def test_a_gate_that_does_not_work(refusal, importable, trained):
    (importable / "my_gates.py").write_text("def much(context):\n    return 1 + context.entropy_a\n")
    words = ("--readings=ar,block:chain", "--combine=m=Combination(gate='my_gates:much')")
    assert "the gate 'my_gates:much' gave shares from 1." in refusal(*words)
    assert "names no function of" in refusal(words[0], "--combine=m=Combination(gate='my_gates:many')")


def test_a_network_beside_that_cannot_be_read(refusal, changed):
    other = changed("data")
    file = other / "vocabulary" / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    said = f"reads the network of {other}, which was trained with another tokenizer"
    assert said in refusal(f"--readings=ar@{other}")
