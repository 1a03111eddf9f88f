"""The tokens of a file in one canonical order, by document id and position, whatever order its rows stood in."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping

import numpy as np
from etils import epath
from jaxtyping import Int

from hybridlm.config.errors import require
from hybridlm.reports.token_checks import check_places
from hybridlm.reports.token_file import PLACES, Header


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Tokens:
    """Attributes:
    documents, texts: ids in rising order, and their UTF-8. groups: names in rising order; group_D: of each document.
    document_T, position_T, byte_start_T, byte_end_T: places, sorted by document and position.
    columns: optional columns by their name; a score that is missing is NaN, a rank or id -1.
    labels: the codes of `label/...` and `likeliest/...` columns by their name, in the order of the header's labels.
    """

    path: str
    header: Header
    documents: tuple[str, ...]
    texts: tuple[bytes, ...]
    groups: tuple[str, ...]
    group_D: Int[np.ndarray, "D"]
    document_T: Int[np.ndarray, "T"]
    position_T: Int[np.ndarray, "T"]
    byte_start_T: Int[np.ndarray, "T"]
    byte_end_T: Int[np.ndarray, "T"]
    columns: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.document_T)

    @functools.cached_property
    def begin_D(self) -> Int[np.ndarray, "D"]:
        """Where each document begins when all are laid in a row, each with one place behind it for its end."""
        return np.cumsum([0, *(len(text) + 1 for text in self.texts)], dtype=np.int64)[:-1]

    def fingerprint(self, reading: str) -> str:
        """SHA-256 of places and scores, whatever the order of the rows and the width of the numbers in the file."""
        digest = hashlib.sha256(self.header.data.encode())
        for array in (self.document_T, self.position_T, self.byte_start_T, self.byte_end_T):
            digest.update(array.astype(np.int64).tobytes())
        digest.update(self.columns[f"score/{reading}"].astype(np.float64).tobytes())
        return digest.hexdigest()


def in_order(
    path: epath.PathLike, header: Header, texts: Mapping[str, str], arrays: Mapping[str, np.ndarray]
) -> Tokens:
    """Sorts the columns of a file, as `token_arrays` gives them, and checks whole documents."""
    document_T, position_T = arrays["document"], arrays["position"]
    step = np.diff(document_T.astype(np.int64) << 32 | position_T)
    if (step <= 0).any():
        order = np.lexsort((position_T, document_T))
        arrays = {name: array if name == "groups" else array[order] for name, array in arrays.items()}
    names = sorted(texts)
    encoded = tuple(texts[name].encode() for name in names)
    check_places(path, arrays, names, np.array([len(text) for text in encoded]))
    group_D = np.full(len(names), -1, np.int32)
    group_D[arrays["document"]] = arrays["group"]
    mixed = np.flatnonzero(group_D[arrays["document"]] != arrays["group"])
    require(
        not mixed.size,
        f"{path}: document {names[arrays['document'][mixed[0]]] if mixed.size else ''!r} lies in two groups; a "
        "document belongs to one, or clusters would not be independent.",
    )
    coded = [name for name in arrays if name.startswith(("label/", "likeliest/"))]
    rest = [name for name in arrays if name not in (*PLACES, *coded, "groups")]
    return Tokens(
        path=str(path),
        header=header,
        documents=tuple(names),
        texts=encoded,
        groups=tuple(arrays["groups"].tolist()),
        group_D=group_D,
        columns={name: arrays[name] for name in rest},
        labels={name: arrays[name] for name in coded},
        **{f"{name}_T": arrays[name] for name in ("document", "position", "byte_start", "byte_end")},
    )
