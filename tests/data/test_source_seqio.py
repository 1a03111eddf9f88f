"""Spools are read without TensorFlow; tests with the mark `seqio` write them with the real library."""

import importlib
import itertools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sentencepiece
from pyarrow import Table, parquet

from hybridlm import masks
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import autoregressive, prefix_lm
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import packing, seqio_export, source_seqio, tokenizer_files
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from hybridlm.objectives import single
from hybridlm.objectives.text import Ids, from_batch

needs_seqio = pytest.mark.seqio
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's, and those of what it brings

LINES = {
    "train": [f"what is {a} times {b} ?\tit is {a * b} ." for a in range(20) for b in range(10)],
    "validation": ["what is a cat ?\tan animal ."],
    "test": ["what is a hill ?\thigh land .", "why ?\tit is so ."],
}
"""Question, tab, answer."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What the Tasks read: lines by split, and a sentencepiece model that knows their characters."""
    directory = tmp_path_factory.mktemp("files")
    for split, lines in LINES.items():
        (directory / f"{split}.tsv").write_text("\n".join(lines))
    text = [part for lines in LINES.values() for line in lines for part in (line.replace("\t", " "), line.upper())]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text),
        model_prefix=str(directory / "pieces"),
        vocab_size=90,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return directory


def spool(directory, rows, splits=("train",), model=None):
    """Writes rows as an export would; what they leave out is empty."""
    empty = {"text": None, "ids": None, "prefix_length": 0, "ends_removed": 0} | dict.fromkeys(source_seqio.NAMES, b"")
    directory.mkdir()
    table = Table.from_pylist([empty | {"task": "task"} | row for row in rows], seqio_export.SCHEMA)
    parquet.write_table(table, directory / source_seqio.EXAMPLES)
    if model:
        (directory / source_seqio.MODEL).write_bytes(model.read_bytes())
    (directory / source_seqio.MARK).write_text(json.dumps({"examples": {split: {} for split in splits}}))
    return directory


def read(directory, language="", **audit):
    return list(source_seqio.read(directory, language, AuditConfig(**audit)))


def test_strings_are_documents_of_their_splits_with_the_names_they_came_with(tmp_path):
    rows = [
        {"text": "naïve".encode(), "split": "train"},
        {"text": b"held out", "split": "validation", "id": b"7", "group": b"g", "language": b"de"},
        {"text": b"unused", "split": "extra"},
        {"text": b" ", "split": "test"},
        {"text": b"caf\xe9", "split": "test"},
    ]
    found = read(spool(tmp_path / "spool", rows, ("train", "validation", "extra", "test")))
    assert found == [
        Document("task/train:0", "naïve", "task/train:0", "task", "train"),
        Document("7", "held out", "g", "de", "validation"),
        Dropped("task/extra:2", "in split 'extra', which is none of train, validation, test", 6),
        Dropped("task/test:3", "empty", 1),
        Dropped("task/test:4", "not UTF-8", 4),
    ]


def test_training_examples_are_divided_where_nothing_was_held_out_for_validation(tmp_path):
    rows = [{"text": b"one", "split": "train"}, {"text": b"two", "split": "test"}]
    found = read(spool(tmp_path / "spool", rows, ("train", "test")), language="en")
    assert [(document.text, document.domain, document.split) for document in found] == [
        ("one", "en", ""),
        ("two", "en", "test"),
    ]


def test_ids_are_kept_beside_the_bytes_they_stand_for(tmp_path, files):
    coder = tokenizer_files.load(files / "pieces.model")
    ids = np.flatnonzero(coder.byte_lengths)[:5].tolist()
    (found,) = read(spool(tmp_path / "spool", [{"ids": ids, "split": "train"}], model=files / "pieces.model"))
    assert found.ids.tolist() == ids
    assert found.text.encode() == b"".join(coder.token_bytes[index] for index in ids)
    assert source_seqio.tokenizer(tmp_path / "spool").sha256 == coder.sha256


def test_ids_that_are_no_text_are_left_out_and_counted(tmp_path, files):
    coder = tokenizer_files.load(files / "pieces.model")
    rows = [{"ids": ids, "split": "train"} for ids in ([2, 5], [5, coder.eos, 5], [5, coder.vocab_size], [])]
    directory = spool(tmp_path / "spool", rows, model=files / "pieces.model")
    unknown = "holds ids outside the vocabulary"
    assert read(directory, unknown_ids="drop") == [
        Dropped("task/train:0", "holds the unknown token, whose text is lost", len(coder.token_bytes[5])),
        Dropped("task/train:1", unknown, 3),
        Dropped("task/train:2", unknown, 2),
        Dropped("task/train:3", "empty", 0),
    ]
    with pytest.raises(ConfigError, match="task/train:1: holds ids outside the vocabulary, and data.audit.unknown_ids"):
        read(directory)


@pytest.mark.parametrize("source", ["seqio:my_mixture", "seqio::my_mixture", "seqio:my_group/tasks.py:my_mixture"])
def test_a_name_that_is_no_module_and_name_is_refused_with_the_form(source, tmp_path):
    with pytest.raises(
        ConfigError, match=f"'{source}' is not of the form seqio:module:name, the module that registers"
    ):
        source_seqio.export(source, tmp_path / "spool")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a seqio of these lines in the way of the real one, for processes that are started."""

    def stand_in(program: str):
        (tmp_path / "seqio.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path / "spool"

    return stand_in


def test_a_missing_package_is_named_with_the_command_that_installs_it(stand_in):
    with pytest.raises(ConfigError) as error:
        source_seqio.export("seqio:my_group.tasks:mixed", stand_in("raise ImportError('no tensorflow_text')"))
    assert str(error.value) == (
        "the source 'seqio:my_group.tasks:mixed' needs the package seqio, which cannot be imported (no "
        "tensorflow_text). Install it, and with it TensorFlow, about 2 GB, which only preparation uses: pip install "
        "seqio"
    )


def test_a_process_that_ends_of_itself_is_an_error_with_its_last_words(stand_in):
    crash = "import os, sys\nprint('out of memory', file=sys.stderr, flush=True)\nos._exit(9)"
    with pytest.raises(OSError, match=r"that runs seqio:my.tasks:mixed ended with exit code 9: (.|\n)*out of memory$"):
        source_seqio.export("seqio:my.tasks:mixed", stand_in(crash))


def test_what_the_library_prints_is_not_taken_for_a_refusal(stand_in):
    (directory := stand_in("print('hello from seqio')")).parent.joinpath("talks.py").write_text(
        "print('and me')\n1 / 0"
    )
    with pytest.raises(ConfigError) as error:
        source_seqio.export("seqio:talks:mixed", directory)
    text = "the source 'seqio:talks:mixed': importing talks failed (ZeroDivisionError: division by zero). Modules are"
    assert str(error.value).startswith(text)


# With the real library.


@pytest.fixture(scope="module")
def tasks(files):
    """The module of the Tasks, in this process too."""
    pytest.importorskip("seqio", reason="the extra seqio is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQIO_FILES", str(files))
        patch.syspath_prepend(__file__.rpartition("/")[0])
        yield importlib.import_module("seqio_tasks")


@pytest.fixture(scope="module")
def exported(tasks, tmp_path_factory):
    """Exports a Task or Mixture, once, without a process of its own."""
    done = {}

    def exported(name):
        if name not in done:
            done[name] = tmp_path_factory.mktemp("spools") / name
            seqio_export.export(f"seqio:seqio_tasks:{name}", done[name])
        return done[name]

    return exported


IN_ANOTHER_PROCESS = """
import sys
from hybridlm.config.sources import AuditConfig
from hybridlm.data import source_seqio

source_seqio.export("seqio:seqio_tasks:strings", sys.argv[1])
for document in source_seqio.read(sys.argv[1], "", AuditConfig()):
    print(document.split, document.id, repr(document.text))
assert not {"tensorflow", "seqio"} & set(sys.modules)
"""


@needs_seqio
def test_a_task_becomes_documents_and_its_reader_never_imports_tensorflow(tasks, files, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", __file__.rpartition("/")[0])
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path / "spool")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    printed = ended.stdout.splitlines()
    assert len(printed) == sum(map(len, LINES.values()))
    assert printed[:2] == [
        "test strings/test:0 'WHAT IS A HILL ?\\nhigh land .'",
        "test strings/test:1 'WHY ?\\nit is so .'",
    ]
    assert printed[2] == "train strings/train:2 'WHAT IS 0 TIMES 0 ?\\nit is 0 .'"
    assert printed[-1] == "validation strings/validation:202 'WHAT IS A CAT ?\\nan animal .'"


@needs_seqio
def test_tokens_are_those_of_the_preprocessors_without_the_end_that_packing_sets(tasks, exported):
    for name, ends in (("questions", 1), ("ended", 2)):
        directory = exported(name)
        documents = read(directory)
        lines = [line.split("\t") for split in ("test", "train", "validation") for line in LINES[split]]
        encoded = [(tasks.PIECES.encode(a.upper()), tasks.PIECES.encode(b)) for a, b in lines]
        assert [document.ids.tolist() for document in documents] == [a + b for a, b in encoded]
        prefixes = parquet.read_table(directory / source_seqio.EXAMPLES)["prefix_length"].to_pylist()
        assert prefixes == [len(a) for a, _ in encoded]
        assert source_seqio.told(directory)["ends_removed"] == ends * len(lines)
        # Each piece that opens a word holds the space before it.
        assert [document.text for document in documents] == [f" {a.upper()} {b}" for a, b in lines]


@needs_seqio
def test_the_vocabulary_of_the_task_comes_with_its_tokens(tasks, files, exported):
    assert source_seqio.tokenizer(exported("questions")).content == (files / "pieces.model").read_bytes()


@needs_seqio
def test_names_among_the_features_are_those_of_the_documents(exported):
    first, *_ = documents = read(exported("lines"))
    assert (first.id, first.domain, first.split) == ("what", "lines", "")
    assert {document.group for document in documents} == {"all"}


@needs_seqio
def test_a_mixture_trains_by_its_rates_until_a_task_ends_and_holds_out_everything(exported):
    train = [found for found in read(exported("mixed")) if getattr(found, "split", "") == "train"]
    taken = {domain: sum(found.domain == domain for found in train) for domain in ("few", "questions")}
    assert taken["few"] == 30 and taken["questions"] < 200
    assert abs(taken["few"] / len(train) - 1 / 4) < 3 * np.sqrt(1 / 4 * 3 / 4 / len(train))
    assert len({found.text for found in train if found.domain == "questions"}) == taken["questions"]
    assert source_seqio.told(exported("mixed"))["examples"] == {
        "extra": {"few": 30},
        "test": {"questions": 2},
        "train": taken,
        "validation": {"few": 30, "questions": 1},
    }


@needs_seqio
@pytest.mark.parametrize("name", ["mixed", "random"])
def test_the_same_source_gives_the_same_bytes(name, exported, tmp_path):
    seqio_export.export(f"seqio:seqio_tasks:{name}", tmp_path / "again")
    for file in (source_seqio.EXAMPLES, source_seqio.MARK):
        assert (tmp_path / "again" / file).read_bytes() == (exported(name) / file).read_bytes()


@needs_seqio
def test_bytes_become_the_text_they_are(exported):
    found = read(exported("bytes"))
    assert [document.text for document in found] == ["naïve\n", "漢字"]
    assert found[0].ids is None and source_seqio.tokenizer(exported("bytes")) is None
    assert source_seqio.told(exported("bytes"))["ends_removed"] == 2


# seqio's converters as the oracle. They write a document of n tokens a, ..., z, EOS as
#
#     decoder_input_tokens     0    a  ...  z    (EOS)       0 is where we have BOS
#     decoder_target_tokens    a    b  ...  EOS  (0)         what is predicted there
#
# and so does this package, with "next" as the place of a target: each target sits where the token before it is read.
# The first `inputs` positions and one more are the prefix, since the last token of the inputs is read one later than it
# stands; counting BOS, these are the same tokens. What is in brackets is there only without packing in seqio; here the
# EOS of a document is always read, and predicts nothing.

BOS, EOS, PAD = 3, 1, 0
IDS = Ids(mask=4, never=(PAD, BOS, 4), size=100)


def inputs_of(rows: list[list[list[int]]], width: int, objective):
    """Our inputs for rows of documents."""
    documents = [document for row in rows for document in row]
    lengths = np.array([len(document) for document in documents])
    pieces = packing.plan(lengths, width)
    assert pieces.row_P.tolist() == [number for number, row in enumerate(rows) for _ in row]
    tokens, begins = {"tokens": np.concatenate(documents)}, np.cumsum(lengths) - lengths
    columns = packing.fill(pieces, width, tokens, {}, begins, pad=PAD, bos=BOS, eos=EOS)
    batch = {name: jnp.asarray(column) for name, column in columns.items()}
    return single.build("one", objective, from_batch(batch), IDS, jax.random.key(0))


def exactly(prefix: int, length: int):
    """The objective that shows this many of a document's tokens, BOS among them."""
    share = (prefix + 0.5) / length
    return prefix_lm(share, share)


def converted(converter, task: str, lengths: dict[str, int]) -> list[dict[str, np.ndarray]]:
    import seqio

    dataset = seqio.get_mixture_or_task(task).get_dataset(lengths, "train", shuffle=False)
    return list(converter(dataset, lengths).as_numpy_iterator())


def visible(row: dict[str, np.ndarray]) -> np.ndarray:
    """[query, key]: what a network sees that follows seqio: what is left, and inside the prefix everything."""
    width = len(row["decoder_input_tokens"])
    prefix = row.get("decoder_causal_attention", np.zeros(width)).astype(bool)
    segment = row.get("decoder_segment_ids", np.ones(width))
    sees = np.tri(width, dtype=bool) | (prefix[:, None] & prefix[None, :])
    return sees & (segment[:, None] == segment[None, :])


def assert_same(ours, row: dict[str, np.ndarray], places: list[int], seqio_places: list[int]):
    """Position by position: what is read, what is predicted, what weighs, and who sees whom."""
    read_there = row["decoder_input_tokens"][seqio_places]
    is_first = row.get("decoder_positions", np.arange(len(row["decoder_input_tokens"])))[seqio_places] == 0
    np.testing.assert_array_equal(np.asarray(ours.inputs_BT)[0, places], np.where(is_first, BOS, read_there))
    is_scored = np.asarray(ours.score_weight_BT)[0, places] > 0
    np.testing.assert_array_equal(is_scored, row["decoder_loss_weights"][seqio_places])
    targets = row["decoder_target_tokens"][seqio_places]
    np.testing.assert_array_equal(np.asarray(ours.targets_BT)[0, places][is_scored], targets[is_scored])
    sees = np.asarray(masks.materialize(ours.mask, ours.facts))[0][np.ix_(places, places)]
    np.testing.assert_array_equal(sees, visible(row)[np.ix_(seqio_places, seqio_places)])


@needs_seqio
def test_the_prefix_view_is_that_of_seqio(exported):
    import seqio

    converter = seqio.PrefixLMFeatureConverter(pack=False)
    rows = converted(converter, "questions", {"inputs": 32, "targets": 32})
    documents = [found for found in read(exported("questions")) if found.split == "train"]
    table = parquet.read_table(exported("questions") / source_seqio.EXAMPLES, filters=[("split", "=", "train")])
    for number in range(0, len(rows), 40):
        ids, prefix = documents[number].ids.tolist(), 1 + table["prefix_length"][number].as_py()
        width = len(ids) + 2
        ours = inputs_of([[ids]], width, exactly(prefix, width))
        assert_same(ours, rows[number], list(range(width)), list(range(width)))


@needs_seqio
def test_the_prefix_view_of_packed_documents_is_that_of_seqio(exported):
    import seqio

    converter = seqio.PrefixLMFeatureConverter(pack=True)
    (row,) = converted(converter, "picture", {"inputs": 6, "targets": 6})
    assert row["decoder_input_tokens"].tolist() == [0, 17, 18, 15, 13, 19, 0, 18, 14, 16, 14, 13]
    assert row["decoder_causal_attention"].tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0]
    ours = inputs_of([[found.ids.tolist() for found in read(exported("picture"))]], 14, exactly(4, 7))
    assert ours.inputs_BT.tolist() == [[BOS, 17, 18, 15, 13, 19, EOS, BOS, 18, 14, 16, 14, 13, EOS]]
    assert_same(ours, row, [*range(6), *range(7, 13)], list(range(12)))
    assert np.asarray(ours.score_weight_BT)[0, [6, 13]].tolist() == [0, 0]


@needs_seqio
def test_the_causal_view_is_that_of_seqio(exported):
    import seqio

    rows = converted(seqio.LMFeatureConverter(pack=False), "lines", {"targets": 64})
    for number, found in list(enumerate(read(exported("lines"))))[::40]:
        width = len(found.ids) + 2
        ours = inputs_of([[found.ids.tolist()]], width, autoregressive())
        assert_same(ours, rows[number], list(range(width)), list(range(width)))


# What a user gets wrong.


def refused(name: str, tmp_path, module: str = "seqio_tasks") -> str:
    with pytest.raises(ConfigError) as error:
        seqio_export.export(f"seqio:{module}:{name}", tmp_path / "spool")
    return str(error.value)


@needs_seqio
def test_a_module_that_is_not_there_is_named_with_the_places_it_was_looked_for(tasks, tmp_path):
    text = refused("mixed", tmp_path, "my_gruop.tasks")
    assert "importing my_gruop.tasks failed (ModuleNotFoundError: No module named 'my_gruop'). Modules are " in text
    assert "in PYTHONPATH, and among the installed packages." in text


@needs_seqio
def test_a_name_that_is_not_registered_is_answered_with_the_nearest(tasks, tmp_path):
    text = refused("mxed", tmp_path)
    assert "seqio_tasks registers no Task or Mixture 'mxed'. Of the " in text
    assert " registered, the nearest: mixed, " in text


@needs_seqio
@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "numbers",
            "has no text: that would be 'targets', with or without 'inputs', as one string or as one row of to",
        ),
        ("numbers", "Its output features are scores (float32, rank 1)."),
        ("cached", "the Task 'cached' may only be read from a cache, and none was found. Write it with seqio_cache_ta"),
        ("remote", "reading its split 'train' failed (ConnectionError: data.example.org cannot be reached). Data that"),
        ("sentinels", "does not give back what ids stand for: it reads [100, 101, 300] as 'ab', which has other ids."),
    ],
)
def test_a_task_that_cannot_be_read_is_refused_with_the_reason(name, text, tasks, tmp_path):
    assert text in refused(name, tmp_path)


@needs_seqio
def test_a_task_is_prepared_by_its_name_in_its_own_vocabulary(tasks, files, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", __file__.rpartition("/")[0])
    source = Source(path="seqio:seqio_tasks:questions", name="questions", licence="CC0")
    config = DataConfig(sources=(source,), tokenizer="source", row_length=64)
    found = prepare(config, tmp_path / "data", progress=silent)
    assert found.tokenizer.content == (files / "pieces.model").read_bytes()
    assert found.manifest.sources == (source,)
    rows = found.rows("train")
    columns = rows.read(range(len(rows)))
    is_text = (columns["segment_ids"] > 0) & (columns["positions"] > 0) & (columns["tokens"] != found.tokenizer.eos)
    encoded = [
        [*tasks.PIECES.encode(a.upper()), *tasks.PIECES.encode(b)]
        for a, b in (line.split("\t") for line in LINES["train"])
    ]
    assert sorted(columns["tokens"][is_text].tolist()) == sorted(itertools.chain(*encoded))
    assert prepare(config, tmp_path / "data", progress=silent).fingerprint == found.fingerprint
