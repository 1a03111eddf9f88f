"""The text and the rows that the tests of training share."""

from tests.training.conftest import prepared, text

__all__ = ["prepared", "text"]
