"""House rules that a reader of any one file relies on: documented, short, named after its duty, free of hidden code."""

import ast
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
MODULES = sorted((ROOT / "hybridlm").rglob("*.py"))
LONGEST = 350


def tracked() -> list[pathlib.Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def place(path: pathlib.Path, node: ast.AST | None = None) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def documented(tree: ast.Module):
    """The module, its public functions and classes, and their public methods of more than two statements."""
    yield tree
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    yield from (node for node in tree.body if isinstance(node, (*functions, ast.ClassDef)) and node.name[0] != "_")
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"):
        methods = (node for node in owner.body if isinstance(node, functions) and node.name[0] != "_")
        yield from (node for node in methods if len(node.body) > 2)


def test_every_module_and_everything_public_has_a_docstring():
    trees = [(path, ast.parse(path.read_text())) for path in MODULES]
    missing = [place(path, node) for path, tree in trees for node in documented(tree) if not ast.get_docstring(node)]
    assert missing == []


def test_no_module_is_long():
    lengths = {place(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_no_file_or_room_is_named_after_nothing():
    nothing = {"utils", "util", "common", "core", "helpers", "misc", "base"}
    assert [place(path) for path in MODULES if nothing & {path.stem, path.parent.name}] == []


def runs_hidden_code(node: ast.AST) -> bool:
    """Whether this is a way to execute what a file or a string holds: pickles, `eval`, `exec`, object arrays."""
    match node:
        case ast.Import(names=names):
            return any(re.match(r"(cloud)?pickle|dill|marshal|shelve|joblib", name.name) for name in names)
        case ast.ImportFrom(module=str(module)):
            return bool(re.match(r"(cloud)?pickle|dill|marshal|shelve|joblib", module))
        case ast.Call(func=ast.Name(id="eval" | "exec")):
            return True
        case ast.keyword(arg="allow_pickle", value=value):
            return not (isinstance(value, ast.Constant) and value.value is False)
    return False


def test_nothing_read_is_ever_executed():
    trees = [(path, ast.parse(path.read_text())) for path in MODULES]
    assert [place(path, node) for path, tree in trees for node in ast.walk(tree) if runs_hidden_code(node)] == []


@pytest.mark.parametrize(
    ("source", "hidden"),
    [
        ("import pickle", True),
        ("from cloudpickle import loads", True),
        ("eval(text)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("jax.eval_shape(f)", False),
    ],
)
def test_hidden_code_is_recognised(source, hidden):
    assert any(runs_hidden_code(node) for node in ast.walk(ast.parse(source))) == hidden


def test_no_tracked_file_names_a_place_on_somebodys_machine():
    machine_path = re.compile(rb"(?<![\w./~-])/(home|root|work|Users)/")
    assert [place(path) for path in tracked() if machine_path.search(path.read_bytes())] == []


def test_links_between_documents_resolve():
    link = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
    documents = [path for path in tracked() if path.suffix == ".md"]
    broken = [
        f"{place(path)} -> {target}"
        for path in documents
        for target in link.findall(path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []
