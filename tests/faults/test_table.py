"""The contract names tests that exist, for every fault."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
SLOW = "tests/faults/test_hosts.py"


def functions(path):
    return {node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_a_row_or_a_sentence():
    told = {int(number) for number in re.findall(r"\bF(\d+)\b", PAGE)}
    assert told == set(range(1, 37))


def test_every_test_of_the_table_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 50
    assert [f"{path}::{name}" for path, name in named if name not in functions(path)] == []


def test_what_is_slow_is_said_to_be():
    rows = [part for part in re.findall(r"`(tests/[\w/]+\.py)::\w+`( \(slow\))?", PAGE) if part[0] == SLOW]
    assert rows and all(is_said for _, is_said in rows)


def test_every_fault_is_met_in_a_store_too_or_touches_no_file():
    """What a process suffers is no matter of where its files lie, and some rows are the save or the copy of another."""
    cells = [row.split(" | ")[-1] for row in re.findall(r"^\| (F\d.*) \|$", PAGE, re.MULTILINE)]
    assert {cell for cell in cells if "`tests/faults/" not in cell} == {
        "of processes, not of files",
        "touches no file",
        "the save of F1",
        "read from a checked local copy (F24)",
    }
