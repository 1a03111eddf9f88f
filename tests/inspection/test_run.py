"""What an inspection counts is what the rows hold, and what cannot be inspected is refused in a sentence."""

import collections
import itertools
import json
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
from hybridlm.config.sources import Source
from hybridlm.data import tokenizer_json
from hybridlm.data.audit import Duplicates
from hybridlm.data.corpus import Corpus
from hybridlm.data.damage import DamagedData
from hybridlm.data.prepare import prepare
from hybridlm.data.prepared import open_prepared
from hybridlm.data.progress import silent
from hybridlm.data.vocabulary import save_vocabulary
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import task_of
from hybridlm.inspection import model as model_inspection
from hybridlm.inspection import packed_rows, text_counts, text_rows
from hybridlm.inspection import run as inspection
from hybridlm.inspection import text as text_inspection
from hybridlm.inspection.run import Asked
from hybridlm.inspection.text import look
from hybridlm.models import size
from hybridlm.reports.inspection import WHOLE, Part
from hybridlm.storage import digests, workdir
from hybridlm.storage.checkpoints import Checkpoints

PROSE, CODE = Part(domain="prose"), Part(domain="code")


@pytest.fixture(scope="module")
def mixed(text, tmp_path_factory):
    """The domains of the text as two sources, one of which has two."""
    sources = (
        Source(path=str(text / "prose*"), name="books", licence="public domain"),
        Source(path=str(text / "[cn]*"), name="machines", language=""),
    )
    config = DataConfig(sources=sources, vocab_size=300, row_length=32)
    return prepare(config, tmp_path_factory.mktemp("mixed") / "data", progress=silent)


@pytest.fixture(scope="module")
def described(mixed):
    return text_inspection.describe(look(mixed), silent)[0]


def split_rows(prepared) -> dict:
    """Every row of every split."""
    splits = {split: prepared.rows(split) for split in prepared.manifest.splits}
    return {split: rows.read(range(len(rows))) for split, rows in splits.items()}


@pytest.fixture(scope="module")
def rows(mixed):
    return split_rows(mixed)


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
    """The text with nothing else given."""
    return given(text, tmp_path_factory.mktemp("alone") / "data")


def given(data, where, run=None, megabytes=4.0):
    return inspection.rows_of(Asked(data=str(data), megabytes=megabytes), run, epath.Path(where), silent)


def predicted(columns) -> np.ndarray:
    return (columns["segment_ids"] > 0) & (columns["positions"] > 0)


def counted(text) -> dict:
    """(family, label, part) -> tokens, where there are any."""
    return {
        (family.name, label.name, part): tokens
        for family in text.families
        for label in family.labels
        for part, tokens in label.tokens.items()
        if tokens
    }


def test_shares_are_those_of_the_labels_that_training_sums_by(described, mixed, rows):
    """The labels that training computes for all rows, added up for the rows of a source and the tokens of a domain."""
    tables, expected = text_counts.tables_of(mixed, mixed.counts_V), collections.Counter()
    for split, columns in rows.items():
        here = text_counts.within(tables, mixed.rows(split))
        labels_MBT = np.asarray(flat_labels(here, jnp.asarray(columns["tokens"]), jax.tree.map(jnp.asarray, columns)))
        names, parts = here.names, {WHOLE: np.ones_like(columns["tokens"], bool)}
        for source, (first, stop) in mixed.rows(split).ranges.items():
            number_B1 = np.arange(len(columns["tokens"]))[:, None]
            parts[Part(source=source)] = (number_B1 >= first) & (number_B1 < stop) & parts[WHOLE]
        for number, domain in enumerate(mixed.manifest.domains):
            parts[Part(domain=domain)] = columns["language"] == number
        for part, is_in_BT in parts.items():
            for number in labels_MBT[:, is_in_BT & predicted(columns)].ravel().tolist():
                expected[(*names[number], part)] += 1
    assert counted(described) == expected


def test_labels_that_only_held_out_rows_have_are_counted_there_alone(described, mixed, rows):
    by_name = {family.name: family for family in described.families}
    assert by_name["copy"].splits == ("test", "validation") and "copy" not in rows["train"]
    held_out = sum(int(predicted(rows[split]).sum()) for split in ("test", "validation"))
    assert sum(label.tokens[WHOLE] for label in by_name["copy"].labels) == held_out
    assert by_name["word_band"].splits == ("test", "train", "validation")
    assert by_name["bracket"].splits == ()


def test_every_family_divides_every_part_without_rest(described):
    assert described.parts[:2] == (Part(source="books"), Part(source="machines"))
    assert [part.domain for part in described.parts[2:]] == ["code", "numbers", "prose"]
    for family, part in itertools.product(described.families, (WHOLE, *described.parts)):
        assert sum(family.share(label, part) for label in family.labels) == pytest.approx(1)
    everything = {
        sum(label.tokens[WHOLE] for label in family.labels) for family in described.families if not family.splits
    }
    assert len(everything) == 1


def test_sources_and_domains_add_up_to_their_split(described, mixed):
    for split, record in mixed.manifest.splits.items():
        whole, *parts = [portion for portion in described.portions if portion.split == split]
        assert whole.part == WHOLE and whole.fill == record.fill
        for kind, names in (("source", {"books", "machines"}), ("domain", set(mixed.manifest.domains))):
            found = [portion for portion in parts if getattr(portion.part, kind) != "all"]
            assert {getattr(portion.part, kind) for portion in found} == names
            for name in ("documents", "tokens", "bytes"):
                assert sum(getattr(portion, name) for portion in found) == getattr(whole, name), name
            assert max(part.groups for part in found) <= whole.groups <= sum(part.groups for part in found)
        books, prose = (next(p for p in parts if p.part == part) for part in (Part(source="books"), PROSE))
        assert (books.tokens, books.bytes, books.documents, books.groups) == (
            prose.tokens,
            prose.bytes,
            prose.documents,
            prose.groups,
        )


def test_sources_are_shown_with_what_is_known_of_them(described):
    assert [(s.name, s.language, s.licence) for s in described.sources] == [
        ("books", "", "public domain"),
        ("machines", "", ""),
    ]


def test_what_the_audit_found_is_passed_on(mixed):
    duplicates, *overlaps = look(mixed).findings
    assert duplicates == mixed.manifest.duplicates.line
    assert [line.partition(":")[0] for line in overlaps] == list(mixed.manifest.overlap)


def test_counting_in_pieces_changes_nothing(described, mixed, monkeypatch):
    monkeypatch.setattr(text_counts, "TOKENS_AT_ONCE", 96)
    again, _ = text_inspection.describe(look(mixed), silent)
    assert (again.portions, again.families) == (described.portions, described.families)


def test_examples_are_the_most_frequent_and_the_rarest_tokens_of_their_label(described, mixed, rows):
    used = [token for columns in rows.values() for token in columns["tokens"][predicted(columns)].tolist()]
    is_space = [token.decode(errors="replace").isspace() for token in mixed.tokenizer.token_bytes]
    counts = sorted(n for token, n in collections.Counter(used).items() if is_space[token])
    family = next(family for family in described.families if family.name == "character_type")
    whitespace = next(label for label in family.labels if label.name == "whitespace")
    assert [token.count for token in whitespace.frequent] == counts[::-1][:5]
    assert [token.count for token in whitespace.rarest] == counts[: max(0, len(counts) - 5)][:5]
    assert whitespace.frequent[0].text in ("␣", "↵")
    special = next(label for label in family.labels if label.name == "special")
    assert [(token.text, token.count) for token in special.frequent] == [("⟨eos⟩", used.count(mixed.tokenizer.eos))]


def test_the_curve_falls_through_all_training_tokens_and_its_bands_are_in_order(described, mixed):
    frequencies = described.frequencies
    assert frequencies.counts_N.sum() == mixed.counts_V.sum() and frequencies.counts_N.min() > 0
    assert (np.diff(frequencies.counts_N) <= 0).all() and (np.diff(frequencies.band_N) >= 0).all()
    assert frequencies.bands == ("top_1k", "1k_10k", "10k_50k", "beyond_50k")


def test_drawn_rows_see_their_own_document_to_the_left(described, rows):
    assert [row.segment_T.max() for row in described.rows] == sorted(rows["train"]["segment_ids"].max(1))[::-1][:4]
    for row in described.rows:
        segment = row.segment_T
        allowed = (segment[:, None] == segment) & (segment > 0) & np.tri(len(segment), dtype=bool)
        assert np.array_equal(row.is_visible_TT, allowed)


def test_long_rows_are_drawn_by_every_nth_token(described, mixed, monkeypatch):
    monkeypatch.setattr(packed_rows, "DRAWN_TOKENS", 10)
    for row, whole in zip(packed_rows.packed_rows(mixed), described.rows, strict=True):
        assert row.stride == 4
        assert np.array_equal(row.segment_T, whole.segment_T[::4])
        assert np.array_equal(row.is_visible_TT, whole.is_visible_TT[::4, ::4])


def test_prepared_rows_become_a_page_tables_and_pictures(mixed, tmp_path, capsys, monkeypatch):
    kept = ("domain", "bracket")
    monkeypatch.setattr(text_inspection, "families", only(kept, text_inspection.families))
    asked = Asked(data=str(mixed.directory), workdir=str(tmp_path / "out"))
    inspection.inspect(asked, progress=silent)
    written = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(written) == {
        "classes-bracket.png",
        "classes-domain.png",
        "distribution.csv",
        "frequencies.png",
        "inspection.html",
        "rows.png",
    }
    assert all(path.read_bytes()[:4] == b"\x89PNG" for name, path in written.items() if name.endswith(".png"))
    table = pd.read_csv(written["distribution.csv"])
    assert np.allclose(table.groupby(["family", "source", "domain"]).share.sum(), 1)
    assert set(table.source) == {"all", "books", "machines"}
    said = capsys.readouterr().out
    assert "bytes per token" in said and "public domain" in said


def only(names, make):
    """Pictures of all families would take most of the time of these tests."""
    return lambda *arguments: tuple(family for family in make(*arguments) if family.name in names)


def test_text_is_read_in_the_vocabulary_of_a_run_and_nothing_is_left(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("A small dog sees the old river.\n")
    inspection.inspect(Asked(data="mine.txt", model=str(run)), progress=silent)
    said = capsys.readouterr().out
    assert "mine.txt" in said and "those of the run of --model" in said and "SHA-256" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_single_text_is_enough_and_one_domain_takes_no_column(run, tmp_path):
    (tmp_path / "mine.txt").write_text("A small dog sees the old river.\n")
    mine = given(tmp_path / "mine.txt", tmp_path / "data", model_inspection.open_run(run))
    assert mine.prepared.manifest.domains == ("code", "numbers", "prose", "text")
    assert text_inspection.describe(mine, silent)[0].parts == ()


def test_text_alone_gets_a_vocabulary_all_labels_and_frequencies_of_its_own(alone, text):
    found, _ = text_inspection.describe(alone, silent)
    assert [portion.split for portion in found.portions if portion.part == WHOLE] == ["text"]
    assert [source.name for source in found.sources] == [str(text)]
    ends = found.portions[0].documents
    assert found.frequencies.counts_N.sum() == found.portions[0].tokens + ends
    assert {"copy", "code", "bracket", "frequency_mass"} <= {family.name for family in found.families}
    size = f"{found.portions[0].bytes / 1000:.1f} KB"
    assert alone.findings[1] == f"all {size} were counted and labelled" and size != "0.0 KB"
    assert f"no tokenizer was given: this byte-level BPE was trained on {size} of the text" in alone.findings[2]


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (31_400, "31.4 KB"), (4_000_000, "4.0 MB")]
)
def test_sizes_are_said_in_a_unit_of_which_there_are_some(count, said):
    assert text_rows._size(count) == said


def test_copies_are_counted_and_said_to_be_in_every_number():
    def said(duplicates):
        corpus = object.__new__(Corpus)
        object.__setattr__(corpus, "duplicates", duplicates)
        return text_rows._copies(corpus)

    assert said(Duplicates()) == "exact duplicates: none"
    assert said(Duplicates(3, 1, "b:2", "a:1")) == (
        "exact duplicates: 3 (1 held-out copies of training text), for one 'b:2' of 'a:1'; counted, and still in every "
        "number here. `hybridlm prepare` leaves them out unless data.audit.duplicate='keep'"
    )


def test_beyond_a_sample_ids_are_counted_all_the_same(alone, text, tmp_path):
    whole, _ = text_inspection.describe(alone, silent)
    part = given(text, tmp_path / "data", megabytes=0.01)
    found, _ = text_inspection.describe(part, silent)
    everything, sample = (portion for portion in found.portions if portion.part == WHOLE)
    assert (everything.split, sample.split) == ("text", "sample")
    assert everything.bytes == whole.portions[0].bytes and everything.documents == whole.portions[0].documents
    assert 10_000 <= sample.bytes < 10_200 < everything.bytes
    assert found.frequencies.counts_N.sum() == everything.tokens + everything.documents
    by_name = {family.name: family for family in found.families}
    assert by_name["copy"].splits == ("sample",) and by_name["bracket"].splits == by_name["domain"].splits == ()
    assert sum(label.tokens[WHOLE] for label in by_name["copy"].labels) == sample.tokens + sample.documents
    domains = {label.name: label.tokens[WHOLE] for label in by_name["domain"].labels}
    portions = {p.part.domain: p.tokens + p.documents for p in found.portions if p.split == "text" and p.part != WHOLE}
    assert domains == portions
    assert f"of a sample of {sample.bytes / 1000:.1f} KB, groups in the order of their hash" in part.findings[1]


def test_a_sample_is_made_of_whole_groups_and_a_larger_one_includes_it(text):
    corpus = text_rows._everything(Source(path=str(text)), silent)
    small, large = (text_rows.first(corpus.entries, limit) for limit in (5e3, 9e3))
    assert large[: len(small)] == small and sum(entry.bytes for entry in small) < 5_200
    groups = [entry.group for entry in small]
    assert len(set(groups)) == len(list(itertools.groupby(groups))), "a group stays together"
    whole = set(groups) - {groups[-1]}
    assert {entry for entry in corpus.entries if entry.group in whole} <= set(small)
    assert text_rows.first(corpus.entries, 1.0) == small[:1], "one document at least"
    assert not set(small) & set(text_rows.first(corpus.entries, 5e3, is_last=True)), "a vocabulary is made elsewhere"


def test_tokens_are_read_with_the_tokenizer_they_came_with(run, tmp_path):
    """Nothing has to be said: the ids of the file are those of the rows."""
    tokenizer = tokenizer_json.train(["the old river the old house " * 9], 270)
    (ids,) = tokenizer.encode_batch(["the old river"])
    tokenizer.save(tmp_path)
    np.save(tmp_path / "ids.npy", ids[None])
    description = {"tokenizer": "tokenizer.json", "splits": {"": ["ids.npy"]}}
    (tmp_path / "tokens.json").write_text(json.dumps(description))
    found = given(tmp_path, tmp_path / "rows")
    assert found.prepared.tokenizer.sha256 == tokenizer.sha256
    columns = found.prepared.rows("text").read([0])
    assert columns["tokens"][0][1 : 1 + len(ids)].tolist() == ids.tolist()
    assert found.findings[2].startswith("the tokens are those that the text came as")
    assert f"--data={tmp_path} came as tokens of another tokenizer" in refusal(tmp_path, model_inspection.open_run(run))


def test_rows_made_for_scores_were_never_audited_and_do_not_say_so(prepared, tmp_path):
    (tmp_path / "mine.txt").write_text("A small dog.")
    rows = text_rows.prepare_for_evaluation(
        str(tmp_path / "mine.txt"), prepared.vocabulary, 32, tmp_path / "data", progress=silent
    )
    assert look(rows).findings == ("duplicates: these rows were not searched for them",)


def test_a_model_is_described_without_its_arrays(run, prepared, experiment):
    opened = model_inspection.open_run(run)
    model = model_inspection.describe(opened, prepared, silent)
    shapes = tasks.abstract_params(task_of(experiment, prepared.vocabulary))
    assert sum(parameter.size for parameter in model.parameters) == size.count(shapes) == model.facts["parameters"]
    sharding = {parameter.path: parameter.sharding for parameter in model.parameters}
    assert sharding["layers/ffn/up"] == "- fsdp+sequence - tensor" and sharding["final_norm/scale"] == "replicated"
    assert model.facts["steps"] == "3 of 20 in the newest whole checkpoint"
    assert model.facts["mesh"] == "replica 1, data the rest, fsdp 1, tensor 1, sequence 1"
    assert model.facts["trained on"] == "data with fingerprint f00df00df00df00d"
    assert {title.split(":")[0] for title in model.masks} == set(experiment.objectives)
    assert model.masks["block: clean and noisy copy"].shape == (64, 64), "two streams of a row of 32"
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
    (directory / "5.held").touch()
    assert model_inspection.checkpoints(directory, silent) == {
        "5": "",
        "10": "array has other bytes than when it was sealed",
        "15": "its saving has not ended",
    }
    assert model_inspection.checkpoints(directory / "none", silent) == {}


def refusal(data, run=None) -> str:
    with pytest.raises(ConfigError) as error:
        given(data, "nowhere", run)
    return str(error.value)


def test_text_without_a_document_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text(" ")
    assert refusal(tmp_path / "empty.txt") == (
        f"{tmp_path}/empty.txt holds no document to look at (left out: 1 empty)."
    )


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
    assert given(prepared.directory, "nowhere", opened).prepared.fingerprint
    assert "were made with another tokenizer than the run of --model" in refusal(alone.prepared.directory, opened)


def test_a_flipped_bit_is_found_while_counting(prepared, tmp_path):
    copy = shutil.copytree(prepared.directory, tmp_path / "data")
    shard = copy / "train-00000.array_record"
    content = bytearray(shard.read_bytes())
    for place in range(len(content) // 3, 2 * len(content) // 3, 64):
        content[place] ^= 255
    shard.write_bytes(content)
    with pytest.raises(DamagedData, match="The file is damaged"):
        text_inspection.describe(look(open_prepared(copy)), silent)
