"""A directory of prepared rows, opened: the manifest read, sizes and the small files' hashes checked."""

import dataclasses

import numpy as np
from etils import epath
from jaxtyping import Int

from hybridlm.config.errors import nearest, require
from hybridlm.data import manifest as manifests
from hybridlm.data.manifest import Manifest
from hybridlm.data.rows import Rows
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import Vocabulary, check_files, load_vocabulary


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Rows on disk, and the vocabulary they are written in."""

    directory: epath.Path
    manifest: Manifest
    vocabulary: Vocabulary

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        return self.vocabulary.tokenizer

    @property
    def counts_V(self) -> Int[np.ndarray, "V"]:
        """How often each id stands in the training rows."""
        return self.vocabulary.counts_V

    @property
    def fingerprint(self) -> str:
        """Equal for equal rows, wherever they lie."""
        return self.manifest.fingerprint

    def rows(self, split: str) -> Rows:
        """The rows of a split; raises ConfigError for a split that was not prepared."""
        known = self.manifest.splits
        require(split in known, f"{self.directory} has no split {split!r}{nearest(split, known)}")
        return Rows(self.directory, self.manifest, split, self.tokenizer)


def open_prepared(directory: epath.PathLike, *, verify: bool = False) -> Prepared:
    """Opens prepared rows; `verify` reads every shard in full and compares its hash."""
    directory = epath.Path(directory)
    manifest = manifests.load(directory)
    check_files(directory, manifest.files)
    prepared = Prepared(directory, manifest, load_vocabulary(directory))
    require(
        prepared.tokenizer.sha256 == manifest.tokenizer_sha256,
        f"the tokenizer in {directory} is not the one its rows were made with; prepare the data anew.",
    )
    for split in manifest.splits:
        rows = prepared.rows(split)
        if verify:
            rows.verify()
    return prepared
