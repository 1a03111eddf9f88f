"""The network's shape: one decoder whose switches cover the Llama, Qwen, OLMo, GPT-NeoX, GPT-2 and BERT families."""

import dataclasses

from hybridlm.config.errors import one_of, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape and switches of the decoder.

    Attributes:
      width: D. layers: L. heads: H. kv_heads: J (J = H is multi-head, J = 1 multi-query). head_width: K; 0 means D / H.
      ffn: F, the inner width of the feed-forward part.
      vocab_size: V; 0 takes it from the tokenizer. vocab_multiple: V is padded up to a multiple of this; padded ids are
        never predicted.
      activation: "swiglu" or "geglu" (gated, gate and up fused), or "gelu" (exact), "gelu_tanh", "relu", "relu2".
      norm: "rms" or "layer". norm_placement: "pre" (GPT-2, Llama), "post" (after the residual sum, BERT) or "output"
        (on each sublayer's output, inside the residual, OLMo 2). norm_eps. final_norm: a norm before the head.
      embedding_norm: a norm right after the embeddings (BERT).
      attention_bias: "none", "qkv" (Qwen 2) or "all" (GPT-2). ffn_bias: biases in the feed-forward part.
      parallel_residual: attention and feed-forward read the same input (GPT-NeoX, GPT-J).
      positions: "rotary", "learned" or "none". rotary_fraction: share of K that rotates. rotary_base: theta.
        max_positions: size of the learned table.
      qk_norm: "none", "head" (over K, Qwen 3) or "full" (over H·K, OLMo 2).
      tied_head: the head is the embedding. head_bias: a bias on the logits, started at the log unigram in training.
      final_dense: "none", or the activation of a dense layer of width D between the last layer and the final norm
        (BERT's prediction head).
      logit_softcap: c of c·tanh(x / c) on the logits; 0 is none.
      time_conditioning: the norms of the layers and the final norm are scaled and shifted by functions of each token's
        noise level, which start at nothing (adaLN, DiT).
      dtype: "bfloat16" or "float32" for activations and products; parameters, norms and softmax are float32.
      loop: "scan" or "unroll" over the stacked layers; the checkpoint is the same.
      remat: "none", "dots" (keep matrix products) or "full" (keep layer inputs alone).
      init_std: standard deviation of the normal initialiser; residual outputs are divided by sqrt(2 L).
      attention_backend: "auto", or a backend by name, refused with the reason where it cannot run.
    """

    width: int = 128
    layers: int = 2
    heads: int = 4
    kv_heads: int = 4
    head_width: int = 0
    ffn: int = 352
    vocab_size: int = 0
    vocab_multiple: int = 1
    activation: str = "swiglu"
    norm: str = "rms"
    norm_placement: str = "pre"
    norm_eps: float = 1e-5
    final_norm: bool = True
    embedding_norm: bool = False
    attention_bias: str = "none"
    ffn_bias: bool = False
    parallel_residual: bool = False
    positions: str = "rotary"
    rotary_fraction: float = 1.0
    rotary_base: float = 10_000.0
    max_positions: int = 0
    qk_norm: str = "none"
    tied_head: bool = True
    head_bias: bool = False
    final_dense: str = "none"
    logit_softcap: float = 0.0
    time_conditioning: bool = False
    dtype: str = "float32"
    loop: str = "unroll"
    remat: str = "none"
    init_std: float = 0.02
    attention_backend: str = "auto"

    def __post_init__(self):
        for field in ("width", "layers", "heads", "kv_heads", "ffn", "vocab_multiple"):
            value = getattr(self, field)
            require(value >= 1, f"model.{field}={value} must be at least 1.")
        one_of("model.activation", self.activation, ("swiglu", "geglu", "gelu", "gelu_tanh", "relu", "relu2"))
        one_of("model.norm", self.norm, ("rms", "layer"))
        one_of("model.norm_placement", self.norm_placement, ("pre", "post", "output"))
        one_of("model.attention_bias", self.attention_bias, ("none", "qkv", "all"))
        one_of("model.positions", self.positions, ("rotary", "learned", "none"))
        one_of("model.qk_norm", self.qk_norm, ("none", "head", "full"))
        one_of("model.final_dense", self.final_dense, ("none", "gelu", "gelu_tanh", "relu", "relu2"))
        one_of("model.dtype", self.dtype, ("bfloat16", "float32"))
        one_of("model.attention_backend", self.attention_backend, ("auto", "cudnn", "mosaic", "splash", "dense"))
        one_of("model.loop", self.loop, ("scan", "unroll"))
        one_of("model.remat", self.remat, ("none", "dots", "full"))
        self._check_heads()
        self._check_positions()
        require(
            not (self.parallel_residual and self.norm_placement != "pre"),
            "model.parallel_residual needs model.norm_placement='pre': both branches read the layer's input.",
        )

    def _check_heads(self):
        require(
            self.heads % self.kv_heads == 0,
            f"model.kv_heads={self.kv_heads} must divide model.heads={self.heads}, since query heads share key/value "
            f"heads in equal groups; valid are {[n for n in range(1, self.heads + 1) if self.heads % n == 0]}.",
        )
        require(
            self.head_width > 0 or self.width % self.heads == 0,
            f"model.width={self.width} is not a multiple of model.heads={self.heads}; change one or set "
            "--config.model.head_width.",
        )

    def _check_positions(self):
        require(0 <= self.rotary_fraction <= 1, f"model.rotary_fraction={self.rotary_fraction} must lie in [0, 1].")
        if self.positions == "rotary":
            require(
                self.rotary_width % 2 == 0,
                f"rotary positions turn pairs of numbers, but model.rotary_fraction={self.rotary_fraction} of head "
                f"width {self.key_width} is {self.rotary_width}, which is odd; choose a fraction that gives "
                "an even width.",
            )
        require(
            self.positions != "learned" or self.max_positions > 0,
            "model.positions='learned' needs model.max_positions, the longest document the table can number.",
        )

    @property
    def key_width(self) -> int:
        """K."""
        return self.head_width or self.width // self.heads

    @property
    def rotary_width(self) -> int:
        """How many of the K numbers rotate."""
        return int(self.key_width * self.rotary_fraction)

    @property
    def gated(self) -> bool:
        return self.activation in ("swiglu", "geglu")

    def padded_vocab(self, vocab_size: int) -> int:
        """V of the embedding table for a tokenizer of `vocab_size` ids."""
        return -(-vocab_size // self.vocab_multiple) * self.vocab_multiple
