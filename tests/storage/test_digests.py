"""Every change to a sealed directory is found, and blamed on the file that changed."""

import json
import shutil

import numpy as np
import pytest
from etils import epath

from hybridlm.storage import digests

FLIPS_PER_FILE = 64


@pytest.fixture
def sealed(tmp_path):
    """Files of several sizes at several depths, sealed."""
    directory = epath.Path(tmp_path / "20")
    random = np.random.default_rng(0)
    for name, size in {"one": 1, "empty": 0, "deep/er/block": 3000, "deep/text.json": 70}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.bytes(size))
    digests.seal(directory)
    return directory


def files(directory):
    return sorted(root / name for root, _, names in directory.walk() for name in names)


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


def test_an_untouched_directory_is_whole_and_may_be_moved(sealed):
    moved = sealed.rename(sealed.parent / "elsewhere")
    assert digests.damage(moved) == []
    assert digests.is_sealed(moved)


def test_a_directory_sealed_again_is_whole_with_its_new_content(sealed):
    (sealed / "one").write_text("more")
    digests.seal(sealed)
    assert digests.damage(sealed) == []


def test_a_flipped_bit_anywhere_is_found_and_named(sealed):
    random = np.random.default_rng(1)
    for path in files(sealed):
        bits = 8 * len(path.read_bytes())
        name = str(path.relative_to(sealed))
        for bit in random.choice(bits, min(bits, FLIPS_PER_FILE), replace=False):
            flip(path, int(bit))
            assert [line.split()[0] for line in digests.damage(sealed)] == [name], f"bit {bit} of {name}"
            flip(path, int(bit))
    assert digests.damage(sealed) == []


@pytest.mark.parametrize(
    ("harm", "report"),
    [
        (lambda path: path.unlink(), "deep/er/block is missing"),
        (lambda path: path.write_bytes(b""), "deep/er/block has 0 bytes instead of 3000"),
        (lambda path: path.write_bytes(path.read_bytes()[:1500]), "deep/er/block has 1500 bytes instead of 3000"),
        (lambda path: path.write_bytes(path.read_bytes() + b"."), "deep/er/block has 3001 bytes instead of 3000"),
        (lambda path: path.write_bytes(bytes(3000)), "deep/er/block has other bytes than when it was sealed"),
    ],
)
def test_the_report_says_what_happened_to_the_file(sealed, harm, report):
    harm(sealed / "deep/er/block")
    assert digests.damage(sealed) == [report]


def test_every_damaged_file_is_reported(sealed):
    (sealed / "one").unlink()
    (sealed / "empty").write_bytes(b"?")
    assert sorted(digests.damage(sealed)) == ["empty has 1 bytes instead of 0", "one is missing"]


def test_a_file_that_joined_later_does_no_harm(sealed):
    (sealed / "note.txt").write_text("best run so far")
    assert digests.damage(sealed) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"files": {}, "sha256": ""}', '{"files": 3, "sha256": 3}']
)
def test_a_manifest_that_is_not_what_was_sealed_seals_nothing(sealed, text):
    (sealed / digests.MANIFEST).write_text(text)
    assert digests.damage(sealed) == ["manifest.json is damaged"]
    assert not digests.is_sealed(sealed)


def test_a_manifest_edited_to_fit_a_changed_file_is_found(sealed):
    (sealed / "one").write_bytes(b"x" * 2)
    manifest = sealed / digests.MANIFEST
    content = json.loads(manifest.read_text())
    content["files"]["one"] = {"bytes": 2, "sha256": "0" * 64}
    manifest.write_text(json.dumps(content, indent=1) + "\n")
    assert digests.damage(sealed) == ["manifest.json is damaged"]


def test_a_manifest_never_makes_a_file_outside_the_directory_be_read(sealed):
    (sealed.parent / "secret").write_bytes(b"s")
    digests.seal(sealed.parent)  # names 20/... and secret, all below the parent
    entries = json.loads((sealed.parent / digests.MANIFEST).read_text())["files"]
    hostile = digests._render({"../secret": entries["secret"]})
    (sealed / digests.MANIFEST).write_text(hostile)
    assert digests.damage(sealed) == ["../secret is missing"]


def test_a_directory_without_manifest_is_not_sealed(sealed):
    (sealed / digests.MANIFEST).unlink()
    assert digests.damage(sealed) == ["manifest.json is missing"]
    assert not digests.is_sealed(sealed)
    shutil.rmtree(sealed)
    assert digests.damage(sealed) == ["manifest.json is missing"]
