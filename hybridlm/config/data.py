"""Where text comes from and how it becomes rows."""

import dataclasses

from hybridlm.config.errors import require
from hybridlm.config.sources import AuditConfig, Mixing, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Text sources, the tokenizer, and the shape of packed rows.

    Attributes:
      sources: each a `Source`, or its path alone: files (.txt, .jsonl, either also .zst; .parquet), directories or
        globs of them, tokens, datasets of TFDS, Tasks and Mixtures of seqio, or "embedded": the running interpreter's
        own standard library as code, its docstrings and language reference as English, its decimal tests as numbers.
      mixing: shares of training rows by source, each from its step on; without any, all rows are read equally often.
      prepared: directory that holds or will hold the prepared rows; "" means `<workdir>/data`.
      tokenizer: "train" for a byte-level BPE trained on the training split, "source" for the one that tokens came with,
        or a file: `tokenizer.json`, a sentencepiece `.model`, or a rank file of tiktoken such as
        `cl100k_base.tiktoken`.
      vocab_size: vocabulary of a tokenizer trained here, special tokens included.
      labels: families of positions compiled for training text, at some cost; held-out text gets all there are.
      label_modules: Python modules that register families of your own; imported wherever labels are made or read.
      row_length: tokens per row, T; longer documents are split, each piece opening with BOS.
      validation, test: shares of split groups (not of documents) held out.
      domains: keep only documents of these languages or domains; empty keeps all.
      limit_bytes: at most this much text per domain of the training split, taken in the order of a hash of the group;
        0 is no limit.
      audit: what is done with documents that are not as they should be.
    """

    sources: tuple[str | Source, ...] = ("embedded",)
    mixing: tuple[Mixing, ...] = ()
    prepared: str = ""
    tokenizer: str = "train"
    vocab_size: int = 1024
    labels: tuple[str, ...] = ("word_band",)
    label_modules: tuple[str, ...] = ()
    row_length: int = 128
    validation: float = 0.04
    test: float = 0.04
    domains: tuple[str, ...] = ()
    limit_bytes: int = 0
    audit: AuditConfig = dataclasses.field(default_factory=AuditConfig)

    def __post_init__(self):
        require(len(self.sources) > 0, "data.sources is empty; name at least one file or directory, or 'embedded'.")
        require(self.row_length >= 8, f"data.row_length={self.row_length} is too short for a document; use at least 8.")
        self._check_shares()
        require(
            self.tokenizer != "train" or self.vocab_size >= 264,
            f"data.vocab_size={self.vocab_size} cannot hold the 256 bytes and the special tokens; use at least 264.",
        )
        require(self.limit_bytes >= 0, f"data.limit_bytes={self.limit_bytes} must not be negative; 0 is no limit.")
        self._check_names()
        self._check_mixing()

    @property
    def named_sources(self) -> tuple[Source, ...]:
        """Every source in full."""
        return tuple(Source(path=given) if isinstance(given, str) else given for given in self.sources)

    def held_out(self, source: Source) -> tuple[float, float]:
        """Its shares of groups for validation and test."""
        own = (source.validation, source.test)
        return tuple(default if share is None else share for share, default in zip(own, (self.validation, self.test)))

    def _check_shares(self) -> None:
        shares = [self.held_out(source) for source in self.named_sources]
        for source, (validation, test) in zip(self.named_sources, shares):
            require(
                0 <= validation < 0.5 and 0 <= test < 0.5 and any(share > 0 for share, _ in shares),
                f"data.validation={validation} must lie in (0, 0.5) and data.test={test} in [0, 0.5) for the source "
                f"{source.called!r}: they are shares of split groups, and without a validation share, of one source "
                "at least, nothing could be evaluated.",
            )

    def _check_names(self) -> None:
        names = [source.called for source in self.named_sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        require(
            not twice,
            f"data.sources has two sources called {twice[0] if twice else ''!r}; give each a name of its own.",
        )

    def _check_mixing(self) -> None:
        for mixing in self.mixing:
            mixing.check_names(tuple(source.called for source in self.named_sources))
        steps = [mixing.from_step for mixing in self.mixing]
        require(
            not steps or (steps[0] == 0 and steps == sorted(set(steps))),
            f"data.mixing begins at the steps {steps}; the first must be 0, and each later than the one before.",
        )
