"""The two kinds of place that files lie in."""

import contextlib
import tempfile
from collections.abc import Iterator

import pytest
from etils import epath

from hybridlm.data import retries
from tests.faults import bucket


@pytest.fixture(scope="module", params=["disk", "store"])
def place(request, tmp_path_factory) -> Iterator[epath.Path]:
    """A directory of the disk, and one of a store where nothing can be renamed or appended to, with a fresh cache."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        patch.setattr(retries, "PAUSES", (0.0, 0.0))
        stack.callback(bucket.clear)
        if request.param == "store":
            stack.enter_context(bucket.serving())
        yield epath.Path(tmp_path_factory.mktemp("place") if request.param == "disk" else "gs://bucket/place")
