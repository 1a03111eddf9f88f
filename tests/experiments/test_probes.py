"""The probes ask what they say they ask, and are answered as a known scorer must answer them."""

import io
import itertools
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from etils import epath
from rich.console import Console

from experiments.probes import closure, read, show, words, write
from experiments.probes.curves import Scores, curves
from experiments.probes.document import Document, Target, load, marked, save
from experiments.probes.probes import PAIRS, PROBES, documents
from experiments.probes.pronoun import PRONOUNS
from experiments.probes.repeats import CUE, PROBE, SPAN
from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig
from hybridlm.data import records
from hybridlm.reports import token_writer
from hybridlm.reports.token_file import Header, Reading
from hybridlm.statistics.intervals import FEW

DISTANCES = (32, 47, 256)
SURPRISE = math.log(len(words.ALL))


@pytest.fixture(scope="module")
def made():
    return list(documents(distances=DISTANCES))


def of(made, *probes):
    return [document for document in made if document.probe in probes]


def said(document, role):
    target = document.target(role)
    return document.text.encode()[target.begin : target.end].decode()


def word_at(document, role):
    """The number of the word in which a target begins."""
    begin = len(document.text.encode()[: document.target(role).begin].decode())
    return sum(word.start() <= begin for word in re.finditer(r"\S+", document.text)) - 1


def test_targets_are_bytes_of_the_text():
    text, targets = marked(["“Ja”, ", ("right", "grüße"), " ", ("wrong", "e")])
    assert text == "“Ja”, grüße e"
    assert targets == (Target("right", 10, 17), Target("wrong", 18, 19))


def test_what_is_planted_comes_again_word_for_word_at_its_distance(made):
    for document in of(made, PROBE):
        spoken = document.text.split()
        first, repeat = word_at(document, "first"), word_at(document, "repeat")
        assert repeat - first == document.distance
        assert spoken[first - CUE : first - CUE + SPAN] == spoken[repeat - CUE :], "with its cue, and then it ends"
        assert said(document, "first") == said(document, "repeat") == " ".join(spoken[repeat:])


def test_only_the_distance_differs_within_a_group_of_repeats(made):
    for _, group in itertools.groupby(of(made, PROBE), key=lambda document: document.group):
        near, *far = group
        for document in far:
            assert document.text.endswith(near.text[near.target("first").end :])
            assert document.text.startswith(near.text[: near.target("first").end])


def test_a_pair_differs_in_its_last_word_which_is_so_far_from_what_decides_it(made):
    pairs = of(made, *PAIRS)
    assert len(pairs) == len(made) - len(of(made, PROBE))
    for right, wrong in zip(pairs[::2], pairs[1::2], strict=True):
        assert right.item == wrong.item
        for document, role in ((right, "right"), (wrong, "wrong")):
            assert word_at(document, role) - word_at(document, "antecedent") == document.distance
            assert document.text.endswith(said(document, role))
        begin = right.target("right").begin
        assert begin == wrong.target("wrong").begin
        assert right.text.encode()[:begin] == wrong.text.encode()[:begin]
        assert said(right, "right") != said(wrong, "wrong")


OPENERS = {pair[0]: pair[1] for pair in (*closure.BRACKETS, *closure.MARKS)}


def still_open(text):
    """What would close each thing that is open at the end of a text, the innermost last."""
    stack = []
    for token in re.findall(r"</?\w+>|[][(){}“”«»]", text):
        closer = OPENERS.get(token) or (f"</{token[1:]}" if re.fullmatch(r"<\w+>", token) else None)
        if closer:
            stack.append(closer)
        else:
            assert token == stack.pop(), "what stands in between is balanced"
    return stack


def test_two_things_are_open_and_the_inner_one_is_right(made):
    pairs = of(made, "closure_code", "closure_markup", "closure_prose")
    for right, wrong in zip(pairs[::2], pairs[1::2], strict=True):
        before = right.text.encode()[: right.target("right").begin].decode()
        assert still_open(before) == [said(wrong, "wrong"), said(right, "right")]


def test_the_right_name_is_whose_thing_is_asked_for(made):
    for right, wrong in zip(*(of(made, "entity_recall")[n::2] for n in (0, 1)), strict=True):
        deed, thing = right.group.split()
        colour = re.search(rf"The (\w+) {thing} was \w+ by \w+$", right.text)[1]
        who = re.findall(rf"(\w+) {deed} the (\w+) {thing}\.", right.text)
        assert {owned: name for name, owned in who}[colour] == said(right, "right") == said(right, "antecedent")
        assert {name for name, _ in who} == {said(right, "right"), said(wrong, "wrong")}


def test_what_is_wrong_once_is_right_once_in_the_same_group(made):
    """So nothing is gained by liking one word better than the other."""
    asked = {}
    for document in of(made, *PAIRS):
        role = "right" if document.target("right") else "wrong"
        key = (document.probe, document.group, document.distance)
        asked.setdefault(key, {"right": [], "wrong": []})[role].append(said(document, role))
    for words_of in asked.values():
        assert len(words_of["right"]) == 2 and words_of["right"] == words_of["wrong"][::-1]


def test_a_pronoun_agrees_with_the_only_one_there_is(made):
    for document in of(made, "pronoun_gender", "pronoun_number"):
        fits = [pronoun for pronoun, nouns in PRONOUNS.items() if said(document, "antecedent") in nouns]
        if document.target("right"):
            assert fits == [said(document, "right")]
        else:
            assert fits != [said(document, "wrong")]
        people = {noun for nouns in PRONOUNS.values() for noun in nouns} & set(re.findall(r"\w+", document.text))
        assert people == {said(document, "antecedent")}


def test_the_same_seed_writes_the_same_and_no_text_comes_twice(made):
    assert list(documents(distances=DISTANCES)) == made
    other = list(documents(distances=DISTANCES, seed=1))
    assert not {document.text for document in other} & {document.text for document in made}
    assert len({document.text for document in made}) == len({document.id for document in made}) == len(made)


def test_there_are_groups_enough_for_intervals(made):
    for probe in PROBES:
        assert len({document.group for document in of(made, probe)}) >= FEW


def test_a_file_gives_them_back_and_is_text_to_be_scored(made, tmp_path):
    path = epath.Path(tmp_path / "probes.jsonl")
    save(made[::97], path)
    assert load(path) == made[::97]
    for line, document in zip(path.read_text().splitlines(), made[::97], strict=True):
        text = records.document(json.loads(line), "place", "text", AuditConfig())
        assert (text.id, text.group, text.text) == (document.id, document.group, document.text)


def scored(document, nll_of):
    """Scores of a tokenizer whose tokens are words with the space before them."""
    text = document.text.encode()
    ends = np.array([word.end() for word in re.finditer(rb"\S+", text)])
    costs = nll_of(document, document.text.split())
    return Scores(np.append(0, ends[:-1]), ends, np.array(costs, np.float32))


def copier(reach):
    """Knows a word that followed the same three words up to `reach` words ago; to it, all others are random words."""

    def nll_of(document, spoken):
        costs, seen = [], {}
        for place, word in enumerate(spoken):
            cue = tuple(spoken[max(0, place - 3) : place])
            before, last = seen.get(cue, (None, -1))
            costs.append(0.0 if before == word and place - last <= reach else SURPRISE)
            seen[cue] = (word, place)
        return costs

    return nll_of


def curve(found, measure):
    return next(curve.found for curve in found if curve.measure == measure)


@pytest.mark.parametrize(
    ("reach", "efficiency"), [(10_000, [1, 1, 1]), (0, [0, 0, 0]), (47, [1, 1, 0])], ids=["all", "none", "window"]
)
def test_recall_is_what_a_copier_can_reach(made, reach, efficiency):
    planted = of(made, PROBE)
    found = curves(planted, {d.id: scored(d, copier(reach)) for d in planted}, draws=50)
    assert [c.measure for c in found] == ["recall efficiency", "cliff"]
    recall, cliff = (curve(found, measure) for measure in ("recall efficiency", "cliff"))
    assert recall.estimate_C == pytest.approx(efficiency, abs=1e-6)
    assert recall.low_C == pytest.approx(efficiency, abs=1e-6)
    assert cliff.estimate_C == pytest.approx([SURPRISE * (efficiency[0] - e) for e in efficiency], abs=1e-6)


def knows_up_to(distance):
    """Gives the right last word 1 nat and the wrong one 3, but for those too far away, where it is the other way."""

    def nll_of(document, spoken):
        is_dear = (document.target("wrong") is not None) == (document.distance <= distance)
        return [0.5] * (len(spoken) - 1) + [3.0 if is_dear else 1.0]

    return nll_of


@pytest.mark.parametrize("probe", PAIRS)
def test_a_pair_is_won_by_the_cheaper_last_word(made, probe):
    pairs = of(made, probe)
    found = curves(pairs, {d.id: scored(d, knows_up_to(47)) for d in pairs}, draws=50)
    assert {c.probe for c in found} == {probe} and found[0].distances == DISTANCES
    assert curve(found, "accuracy").estimate_C == pytest.approx([1, 1, 0])
    assert curve(found, "margin").estimate_C == pytest.approx([2, 2, -2])
    assert curve(found, "margin").high_C == pytest.approx([2, 2, -2])


def test_a_target_in_several_tokens_costs_their_sum():
    pair = [
        Document(id=role, probe="x", group="g", distance=32, item="i", text="a b </ab>", targets=(Target(role, 4, 9),))
        for role in ("right", "wrong")
    ]
    begin, end = np.array([0, 1, 3, 6, 9]), np.array([1, 3, 6, 9, 9])
    cost = {"right": [9, 9, 1, 2, 9], "wrong": [9, 9, 3, 5, 9]}
    found = curves(pair, {role: Scores(begin, end, np.array(nll, np.float32)) for role, nll in cost.items()})
    assert curve(found, "margin").estimate_C == pytest.approx([5]), "an end of text without bytes is no part of it"


def test_what_was_not_scored_is_refused(made):
    planted = of(made, PROBE)[:2]
    known = {d.id: scored(d, copier(9)) for d in planted}
    with pytest.raises(ConfigError) as refused:
        curves(planted, {planted[0].id: known[planted[0].id]})
    assert str(refused.value) == (
        "1 of 2 probe documents have no scores, 'planted_repeats/span-0/47' first; score the whole file of probes, or "
        "read the file that was scored."
    )
    known[planted[1].id].nll_N[-1] = np.nan
    with pytest.raises(ConfigError) as refused:
        curves(planted, known)
    assert re.fullmatch(
        r"bytes \d+ to \d+ of the probe document 'planted_repeats/span-0/47', its 'repeat', were not scored; score "
        "whole documents, every token once.",
        str(refused.value),
    )


def test_a_pair_needs_both(made):
    alone = of(made, "entity_recall")[:1]
    with pytest.raises(ConfigError, match=r"items without a partner, \['entity_recall/carried folder/32/\w+'\]"):
        curves(alone, {d.id: scored(d, copier(9)) for d in alone})


def test_a_distance_must_hold_a_template():
    with pytest.raises(ConfigError) as refused:
        list(documents(distances=(16, 64)))
    assert str(refused.value) == "--distances=16,64 must be 32 words or more each: a template takes that much room."


def test_from_documents_to_a_table_by_way_of_a_token_file(tmp_path, capsys):
    path = epath.Path(tmp_path / "probes.jsonl")
    assert write.main([f"--output={path}", "--probes=planted_repeats,pronoun_gender", "--distances=32,128"]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: 320 documents, ")
    made = load(path)
    known = {d.id: scored(d, copier(64)) for d in made}
    columns = {
        "document": [d.id for d in made for _ in known[d.id].nll_N],
        "group": [d.group for d in made for _ in known[d.id].nll_N],
        "position": [place for d in made for place in range(len(known[d.id].nll_N))],
        **{
            name: np.concatenate([known[d.id][number] for d in made])
            for number, name in enumerate(("byte_start", "byte_end", "score/ar"))
        },
    }
    header = Header(readings={"ar": Reading()}, tokenizer="words", checkpoint="copier", code="test")
    token_writer.write(tmp_path / "tokens.parquet", header, columns, {d.id: d.text for d in made})
    assert read.main([f"--probes={path}", f"--tokens={tmp_path / 'tokens.parquet'}"]) == 0
    table = pd.read_csv(tmp_path / "curves.csv").set_index(["probe", "measure", "distance"])["estimate"].sort_index()
    assert table[PROBE, "recall efficiency"].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert table["pronoun_gender", "margin"].tolist() == pytest.approx([0, 0])
    assert table["pronoun_gender", "accuracy"].tolist() == pytest.approx([0.5, 0.5])
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_the_printed_table_has_a_column_for_each_distance(made, tmp_path):
    planted = of(made, PROBE)
    found = curves(planted, {d.id: scored(d, copier(47)) for d in planted}, draws=50)
    console = Console(file=io.StringIO(), width=120)
    show.show(found, epath.Path(tmp_path), console)
    line = next(line for line in console.file.getvalue().splitlines() if "recall efficiency" in line)
    assert line.strip().split("  ")[-3:] == ["1.00 [1.00, 1.00]", "1.00 [1.00, 1.00]", "0.00 [0.00, 0.00]"]
