"""What an inspection counts is what the rows hold, and what cannot be inspected is refused in a sentence."""

import collections
import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from etils import epath

from hybridlm.categories.tables import flat_labels
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError
from hybridlm.data.prepared import open_prepared
from hybridlm.data.progress import silent
from hybridlm.data.shards import DamagedData
from hybridlm.data.vocabulary import save_vocabulary
from hybridlm.models import size
from hybridlm.training import digests, inspection, model_inspection, text_inspection, workdir
from hybridlm.training import task as tasks
from hybridlm.training.checkpoints import Checkpoints
from hybridlm.training.session import task_of


@pytest.fixture(scope="module")
def columns(prepared):
    """Every row of every split."""
    splits = [prepared.rows(split) for split in prepared.manifest.splits]
    parts = [rows.read(range(len(rows))) for rows in splits]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def described(prepared):
    return text_inspection.describe(prepared, silent)


@pytest.fixture(scope="module")
def run(experiment, prepared, tmp_path_factory):
    """A run's directory with one checkpoint, which is sealed."""
    directory = epath.Path(tmp_path_factory.mktemp("run"))
    workdir.claim(directory, experiment)
    save_vocabulary(prepared.vocabulary, directory / workdir.VOCABULARY)
    store = Checkpoints(directory / workdir.CHECKPOINTS)
    store.save(3, {"step": np.arange(2)}, {"fingerprints": {"data": "f00d" * 16}})
    store.close()
    return directory


@pytest.fixture(scope="module")
def alone(text, tmp_path_factory):
    """Rows of the text with nothing else given."""
    where = epath.Path(tmp_path_factory.mktemp("alone")) / "data"
    return inspection.rows_of(str(text), None, where, silent)


def predicted(columns) -> np.ndarray:
    return (columns["segment_ids"] > 0) & (columns["positions"] > 0)


def test_shares_are_those_of_the_labels_that_training_sums_by(described, prepared, columns):
    tables, columns_on_device = text_inspection.tables_of(prepared), jax.tree.map(jnp.asarray, columns)
    labels_MBT = np.asarray(flat_labels(tables, columns_on_device["tokens"], columns_on_device))
    counted = collections.Counter(tables.names[n] for n in labels_MBT[:, predicted(columns)].ravel().tolist())
    found = {(family.name, label.name): label.tokens["all"] for family in described.families for label in family.labels}
    assert found == {name: counted[name] for name in tables.names}


def test_every_family_divides_every_domain_without_rest(described, prepared, columns):
    is_predicted = predicted(columns)
    for number, domain in enumerate(prepared.manifest.domains):
        tokens = int((is_predicted & (columns["language"] == number)).sum())
        for family in described.families:
            assert sum(label.tokens[domain] for label in family.labels) == tokens
            assert sum(family.share(label, domain) for label in family.labels) == pytest.approx(1)


def test_domains_add_up_to_their_split(described, prepared):
    for split, record in prepared.manifest.splits.items():
        whole, *parts = [portion for portion in described.portions if portion.split == split]
        assert whole.fill == record.fill and {part.domain for part in parts} == set(prepared.manifest.domains)
        for name in ("documents", "tokens", "bytes"):
            assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
        assert max(part.groups for part in parts) <= whole.groups <= sum(part.groups for part in parts)


def test_counting_in_pieces_changes_nothing(described, prepared, monkeypatch):
    monkeypatch.setattr(text_inspection, "TOKENS_AT_ONCE", 96)
    again = text_inspection.describe(prepared, silent)
    assert (again.portions, again.families) == (described.portions, described.families)


def test_examples_are_the_most_frequent_and_the_rarest_tokens_of_their_label(described, prepared, columns):
    used, token_bytes = columns["tokens"][predicted(columns)].tolist(), prepared.tokenizer.token_bytes
    is_space = [token.decode(errors="replace").isspace() for token in token_bytes]
    counts = sorted(n for token, n in collections.Counter(used).items() if is_space[token])
    family = next(family for family in described.families if family.name == "character_type")
    whitespace = next(label for label in family.labels if label.name == "whitespace")
    assert [token.count for token in whitespace.frequent] == counts[::-1][:5]
    assert [token.count for token in whitespace.rarest] == counts[: max(0, len(counts) - 5)][:5]
    assert whitespace.frequent[0].text in ("␣", "↵")
    special = next(label for label in family.labels if label.name == "special")
    assert [(token.text, token.count) for token in special.frequent] == [("⟨eos⟩", used.count(prepared.tokenizer.eos))]


def test_the_curve_falls_through_all_training_tokens_and_its_bands_are_in_order(described, prepared):
    frequencies = described.frequencies
    assert frequencies.counts_N.sum() == prepared.counts_V.sum() and frequencies.counts_N.min() > 0
    assert (np.diff(frequencies.counts_N) <= 0).all() and (np.diff(frequencies.band_N) >= 0).all()
    assert len(frequencies.bands) == 4


def test_drawn_rows_see_their_own_document_to_the_left(described, prepared):
    rows = prepared.rows("train").read(range(len(prepared.rows("train"))))
    assert [row.segment_T.max() for row in described.rows] == sorted(rows["segment_ids"].max(1))[::-1][:4]
    for row in described.rows:
        segment = row.segment_T
        allowed = (segment[:, None] == segment) & (segment > 0) & np.tri(len(segment), dtype=bool)
        assert np.array_equal(row.is_visible_TT, allowed)


def test_long_rows_are_drawn_by_every_nth_token(described, prepared, monkeypatch):
    monkeypatch.setattr(text_inspection, "DRAWN_TOKENS", 10)
    for row, whole in zip(text_inspection.describe(prepared, silent).rows, described.rows, strict=True):
        assert row.stride == 4
        assert np.array_equal(row.segment_T, whole.segment_T[::4])
        assert np.array_equal(row.is_visible_TT, whole.is_visible_TT[::4, ::4])


def test_prepared_rows_become_a_page_and_a_table(prepared, tmp_path, capsys):
    inspection.inspect(str(prepared.directory), "", str(tmp_path / "out"), progress=silent)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["distribution.csv", "inspection.html"]
    table = pd.read_csv(tmp_path / "out" / "distribution.csv")
    assert np.allclose(table.groupby(["family", "domain"]).share.sum(), 1)
    assert "bytes per token" in capsys.readouterr().out


def test_text_is_read_in_the_vocabulary_of_a_run_and_nothing_is_left(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("A small dog sees the old river.\n")
    inspection.inspect("mine.txt", str(run), "", progress=silent)
    said = capsys.readouterr().out
    assert "evaluation" in said and "SHA-256" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_domains_that_a_text_has_none_of_take_no_column(run, tmp_path):
    (tmp_path / "mine.txt").write_text("A small dog sees the old river.\n")
    where = epath.Path(tmp_path / "data")
    mine = inspection.rows_of(str(tmp_path / "mine.txt"), model_inspection.open_run(run), where, silent)
    assert mine.manifest.domains == ("code", "numbers", "prose", "text")
    assert text_inspection.describe(mine, silent).domains == ("text",)


def test_text_alone_is_prepared_as_training_would_and_kept_in_the_workdir(alone):
    fields = dataclasses.asdict(DataConfig())
    assert alone.directory.name == "data" and set(alone.manifest.splits) == {"train", "validation", "test"}
    assert {name: alone.manifest.recipe[name] for name in ("vocab_size", "row_length", "validation")} == {
        name: fields[name] for name in ("vocab_size", "row_length", "validation")
    }


def test_a_model_is_described_without_its_arrays(run, prepared, experiment):
    opened = model_inspection.open_run(run)
    model = model_inspection.describe(opened, prepared, silent)
    shapes = tasks.abstract_params(task_of(experiment, prepared.vocabulary))
    assert sum(parameter.size for parameter in model.parameters) == size.count(shapes) == model.facts["parameters"]
    sharding = {parameter.path: parameter.sharding for parameter in model.parameters}
    assert sharding["layers/ffn/up"] == "- fsdp - tensor" and sharding["final_norm/scale"] == "replicated"
    assert model.facts["steps"] == "3 of 20 in the newest whole checkpoint"
    assert model.facts["mesh"] == "data the rest, fsdp 1, tensor 1"
    assert model.facts["trained on"] == "data with fingerprint f00df00df00df00d"
    assert set(model.masks) == set(experiment.objectives)
    assert model.masks["block"].shape == (64, 64), "two streams of a row of 32"
    assert '"learning_rate": 0.01' in model.config


def test_masks_need_rows(run):
    assert model_inspection.describe(model_inspection.open_run(run), None, silent).masks == {}


def test_checkpoints_are_listed_with_what_is_wrong(tmp_path):
    directory = epath.Path(tmp_path)
    for step in ("5", "10", "15"):
        (directory / step).mkdir()
        (directory / step / "array").write_text("numbers")
        digests.seal(directory / step)
    (directory / "10" / "array").write_text("nombres")
    (directory / "15.saving").touch()
    assert model_inspection.checkpoints(directory, silent) == {
        "5": "",
        "10": "array has other bytes than when it was sealed",
        "15": "its saving has not ended",
    }
    assert model_inspection.checkpoints(directory / "none", silent) == {}


def refusal(data, run=None) -> str:
    with pytest.raises(ConfigError) as error:
        inspection.rows_of(str(data), run, epath.Path("nowhere"), silent)
    return str(error.value)


def test_a_run_given_as_text_is_pointed_out(run):
    assert refusal(run) == (
        f"--data={run} is the directory of a run, not text; name its rows by --data={run}/data, or the run by "
        f"--model={run}."
    )


def test_rows_without_their_manifest_are_no_text(prepared, tmp_path):
    shutil.copy(prepared.directory / "train-00000.array_record", tmp_path)
    assert refusal(tmp_path).startswith(f"{tmp_path} holds no manifest.json, so it is no prepared data")


def test_rows_of_another_tokenizer_are_not_mixed_with_a_model(run, alone, prepared):
    opened = model_inspection.open_run(run)
    assert inspection.rows_of(str(prepared.directory), opened, epath.Path("nowhere"), silent).fingerprint
    assert "were made with another tokenizer than the run of --model" in refusal(alone.directory, opened)


def test_a_flipped_bit_is_found_while_counting(prepared, tmp_path):
    copy = shutil.copytree(prepared.directory, tmp_path / "data")
    shard = copy / "train-00000.array_record"
    content = bytearray(shard.read_bytes())
    for place in range(len(content) // 3, 2 * len(content) // 3, 64):
        content[place] ^= 255
    shard.write_bytes(content)
    with pytest.raises(DamagedData, match="The file is damaged"):
        text_inspection.describe(open_prepared(copy), silent)
