"""Where text comes from and how it becomes rows."""

import dataclasses

from hybridlm.config.errors import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Text sources, the tokenizer, and the shape of packed rows.

    Attributes:
      sources: files (.txt, .jsonl, either also .zst; .parquet), directories or globs of them, datasets of TFDS on disk
        (`tfds:name/config:version@data_dir`, or their directory), or "embedded": the running interpreter's own standard
        library as code, its docstrings and language reference as English, its decimal test files as numbers.
      prepared: directory that holds or will hold the prepared rows; "" means `<workdir>/data`.
      tokenizer: "train" for a byte-level BPE trained on the training split, or a file: `tokenizer.json`, a
        sentencepiece `.model`, or a rank file of tiktoken such as `cl100k_base.tiktoken`.
      vocab_size: vocabulary of a tokenizer trained here, special tokens included.
      row_length: tokens per row, T; longer documents are split, each piece opening with BOS.
      validation, test: shares of split groups (not of documents) held out.
      domains: keep only documents of these languages or domains; empty keeps all.
      limit_bytes: at most this much text per domain of the training split, taken in the order of a hash of the group;
        0 is no limit.
      on_bad_text: what to do with a document that is not UTF-8 or holds NUL bytes: "drop" (counted, named) or "fail".
      on_duplicate: what to do with a document whose whole text another one has: "drop" (counted, named), "keep"
        (counted) or "fail". The first copy in training stays, or the first where training has none.
    """

    sources: tuple[str, ...] = ("embedded",)
    prepared: str = ""
    tokenizer: str = "train"
    vocab_size: int = 1024
    row_length: int = 128
    validation: float = 0.04
    test: float = 0.04
    domains: tuple[str, ...] = ()
    limit_bytes: int = 0
    on_bad_text: str = "drop"
    on_duplicate: str = "drop"

    def __post_init__(self):
        require(len(self.sources) > 0, "data.sources is empty; name at least one file or directory, or 'embedded'.")
        require(self.row_length >= 8, f"data.row_length={self.row_length} is too short for a document; use at least 8.")
        require(
            0 < self.validation < 0.5 and 0 <= self.test < 0.5,
            f"data.validation={self.validation} must lie in (0, 0.5) and data.test={self.test} in [0, 0.5): they are "
            "shares of split groups, and without a validation share nothing could be evaluated.",
        )
        require(
            self.tokenizer != "train" or self.vocab_size >= 264,
            f"data.vocab_size={self.vocab_size} cannot hold the 256 bytes and the special tokens; use at least 264.",
        )
        require(self.limit_bytes >= 0, f"data.limit_bytes={self.limit_bytes} must not be negative; 0 is no limit.")
        require(
            self.on_bad_text in ("drop", "fail"),
            f"data.on_bad_text={self.on_bad_text!r} must be 'drop' (count and name the document) or 'fail'.",
        )
        require(
            self.on_duplicate in ("drop", "keep", "fail"),
            f"data.on_duplicate={self.on_duplicate!r} must be 'drop' (leave the copy out, counted), 'keep' or 'fail'.",
        )
