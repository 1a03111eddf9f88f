import dataclasses
import pathlib
import socket
import sys

import numpy as np
import pytest
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import source_tfds, sources
from hybridlm.data.corpus import survey_for_training
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.progress import silent

TEXT = {"train": ["naïve one", "", "漢字"], "validation": ["held out"], "test": ["tested"], "unsupervised": ["unused"]}


def examples(*splits):
    return {split: [{"text": text, "id": str(n)} for n, text in enumerate(TEXT[split])] for split in splits}


@pytest.fixture
def write(tmp_path):
    """Writes examples per split as the dataset `tiny` of TFDS and returns its directory."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed")
    tfds.disable_progress_bar()

    with tfds.core.registered.skip_registration():

        class Tiny(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")
            code_path = None
            given = None

            def _info(self):
                first = next(iter(self.given.values()))[0]
                kinds = {str: tfds.features.Text(), int: np.int64, list: tfds.features.Sequence(tfds.features.Text())}
                features = tfds.features.FeaturesDict({name: kinds[type(value)] for name, value in first.items()})
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, manager):
                return {split: enumerate(rows) for split, rows in self.given.items()}

            def _generate_examples(self):
                raise AssertionError("the splits are given as they are")

    def write(given: dict[str, list[dict]], file_format: str = "array_record") -> pathlib.Path:
        Tiny.given = given
        builder = Tiny(data_dir=tmp_path / "data", file_format=file_format)
        builder.download_and_prepare()
        return pathlib.Path(builder.data_dir)

    return write


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network is never touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def read(source, **audit):
    return list(sources.read(Source(path=str(source)), AuditConfig(**audit)))


def test_examples_are_documents_of_the_splits_of_the_dataset(write):
    found = read(write(examples("train", "validation", "test")))
    texts = {(document.text, document.split) for document in found if isinstance(document, Document)}
    assert texts == {
        ("naïve one", "train"),
        ("漢字", "train"),
        ("held out", "validation"),
        ("tested", "test"),
    }
    assert [document for document in found if isinstance(document, Dropped)] == [Dropped("1", "empty", 0)]
    assert {document.domain for document in found if isinstance(document, Document)} == {"tiny"}
    assert "tensorflow" not in sys.modules


def test_ids_that_count_anew_in_every_split_make_no_common_groups(write):
    found = read(write(examples("validation", "test")))
    assert found == [
        Document("0", "tested", "tiny/test:0", "tiny", "test"),
        Document("0", "held out", "tiny/validation:0", "tiny", "validation"),
    ]


def test_names_given_by_the_dataset_are_used(write):
    row = {"text": "t", "group": "g", "language": "de", "id": 7, "label": 3}
    assert read(write({"test": [row]})) == [Document("7", "t", "g", "de", "test")]


def test_training_examples_are_divided_where_nothing_was_held_out_for_validation(write):
    found = read(write(examples("train", "test")))
    assert {(document.text, document.split) for document in found if isinstance(document, Document)} == {
        ("naïve one", ""),
        ("漢字", ""),
        ("tested", "test"),
    }


def test_a_split_of_another_name_is_dropped_and_counted(write):
    assert read(write(examples("test", "unsupervised")))[1:] == [
        Dropped("tiny/unsupervised:0", "in split 'unsupervised', which is none of train, validation, test", 6)
    ]


def test_a_name_means_its_directory(write, monkeypatch):
    directory = write(examples("train", "test"))
    data_dir = directory.parents[1]
    named = f"tfds:tiny:1.0.0@{data_dir}"
    assert read(named) == read(directory)
    assert sources.exists(named) and sources.digest(named) == sources.digest(str(directory))
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    assert source_tfds.located("tfds:tiny:1.0.0") == str(directory)
    assert source_tfds.located("tfds:wiki40b/Asian.ja:1.3.0@gs://bucket/d") == "gs://bucket/d/wiki40b/Asian.ja/1.3.0"
    assert source_tfds.located("corpus/*.jsonl") == "corpus/*.jsonl"


def test_examples_reach_the_splits_of_a_corpus(write, config):
    rows = {split: [{"text": f"{split} {n}"} for n in range(130)] for split in ("train", "validation")}
    corpus = survey_for_training(dataclasses.replace(config, sources=(str(write(rows)),)), silent)
    found = [(entry.split, document.text) for entry, document in corpus.documents(corpus.entries)]
    assert sorted(found) == sorted((split, row["text"]) for split in rows for row in rows[split])


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_a_dataset_that_is_not_there_is_never_downloaded(tmp_path, version):
    with pytest.raises(ConfigError) as error:
        read(f"tfds:c4/en:{version}@{tmp_path}")
    expected = (
        f"the source 'tfds:c4/en:{version}@{tmp_path}' is not prepared: {tmp_path}/c4/en/{version} holds no "
        "dataset_info.json and features.json, and nothing is downloaded here. Check name, version and data_dir, or"
    )
    assert str(error.value).startswith(expected)
    assert not sources.exists(f"tfds:c4/en:{version}@{tmp_path}")


@pytest.mark.parametrize("source", ["tfds:c4", "tfds:c4/en", "tfds:c4@data", "tfds:c4:latest", "tfds:"])
def test_a_name_without_its_version_is_refused_with_the_form(source):
    with pytest.raises(ConfigError, match=f"'{source}' is not of the form tfds:name:version or tfds:name/config:versi"):
        read(source)


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    for mark in source_tfds.MARKS:
        (tmp_path / mark).write_text("{}")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ConfigError, match=r"is not needed\): pip install tensorflow-datasets") as error:
        read(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("row", "listed"),
    [
        ({"title": "x", "label": 1}, "label: Tensor(shape=(), dtype=int64), title: Text(shape=(), dtype=string)"),
        ({"text": ["a", "b"]}, "text: Sequence(Text(shape=(), dtype=string))"),
        ({"text": 7}, "text: Tensor(shape=(), dtype=int64)"),
    ],
)
def test_a_dataset_without_text_is_refused_with_its_features(write, row, listed):
    directory = write({"train": [row]})
    with pytest.raises(ConfigError) as error:
        read(directory)
    expected = f"{directory} has no feature 'text' that is one string an example, only {listed}. Prepare the dataset"
    assert str(error.value).startswith(expected)


def test_a_format_that_only_tensorflow_reads_is_refused(write):
    directory = write(examples("test"))
    info = directory / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ConfigError, match="was prepared as tfrecord, which only TensorFlow reads. Prepare it again"):
        read(directory)


def test_a_damaged_shard_is_an_error_that_names_the_dataset(write):
    directory = write(examples("test"))
    (shard,) = directory.glob("*.array_record*")
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(OSError, match=r"tiny/1.0.0 cannot be read to its end \((.|\n)*\); copy or prepare it again"):
        read(directory)


def test_a_dataset_among_plain_files_is_not_read_as_files(tmp_path):
    (tmp_path / "corpus.txt").write_text("text")
    (tmp_path / "tiny" / "1.0.0").mkdir(parents=True)
    for mark in source_tfds.MARKS:
        (tmp_path / "tiny" / "1.0.0" / mark).write_text("{}")
    among = r"holds datasets of TFDS, examples of seqio or tokens among its files. Name each .*: .*/tiny/1.0.0\."
    with pytest.raises(ConfigError, match=among):
        read(tmp_path)
    assert source_tfds.is_dataset(epath.Path(tmp_path) / "tiny" / "1.0.0")
