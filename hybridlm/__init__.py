"""hybridlm: hybrid language models from a few pure functions, scored token by token."""

__version__ = "0.1.0"
