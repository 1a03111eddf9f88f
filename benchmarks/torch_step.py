"""The training step as PyTorch's users write it, for `benchmarks.train_step` to be compared with.

    python -m benchmarks.torch_step                           causal, SDPA, 124M parameters, 32 rows of 1024
    python -m benchmarks.torch_step --mask=two-streams --rows=16      BD3-LM's noisy and clean tokens, FlexAttention
    python -m benchmarks.torch_step --preset=1.3B --rows=8 --length=2048

`torch.compile`, float32 parameters, autocast to bfloat16, fused AdamW. The network is the preset's own; two streams
have their block mask made once, and logits for noisy tokens, as BD3-LM has. Prints the other benchmark's line.
"""

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable

import numpy as np

from hybridlm.config.model import ModelConfig
from hybridlm.config.presets import preset

VOCABULARY = 50_257
"""As in `benchmarks.train_step`."""
BLOCK = 16
"""Tokens of a block of the two-stream model."""
PEAK = 989e12
"""Dense bfloat16 FLOP/s of an H100 and an H200."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What is trained: the model, its vocabulary, rows of text and their length, and whether there are two streams."""

    model: ModelConfig
    vocabulary: int
    rows: int
    length: int
    two_streams: bool

    @property
    def positions(self) -> int:
        """Tokens of a row that the network sees."""
        return self.length * (2 if self.two_streams else 1)

    @property
    def flops(self) -> float:
        """Operations of a step, counted as `hybridlm.training.work` does: by the mask's density, and by targets."""
        m, targets = self.model, self.rows * self.length * (0.5 if self.two_streams else 1)
        columns = 3 if m.gated else 2
        layer = m.width * m.key_width * 2 * (m.heads + m.kv_heads) + columns * m.width * m.ffn
        visible = (self.length + BLOCK) / 2 if self.two_streams else (self.length + 1) / 2
        attention = 12 * m.layers * m.heads * m.key_width * visible * self.rows * self.positions
        head = 6 * self.vocabulary * m.width * targets
        return 6 * m.layers * layer * self.rows * self.positions + attention + head


def decoder(shape: Shape, device: str):
    """The network as a module, from tokens to the loss of the first stream."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    m = shape.model
    index = torch.arange(shape.positions, device=device)
    stream, place = index // shape.length, index % shape.length

    def sees(b, h, q, k):
        """Stream 0 is noisy: it sees its own noisy block and earlier clean ones; clean sees clean up to its block."""
        query, key = place[q] // BLOCK, place[k] // BLOCK
        own = (stream[q] == 0) & (stream[k] == 0) & (query == key)
        clean = (stream[k] == 1) & ((stream[q] == 1) & (query >= key) | (stream[q] == 0) & (query > key))
        return own | clean

    blocks = None
    if shape.two_streams:
        blocks = create_block_mask(sees, None, None, shape.positions, shape.positions, device=device)
    frequency = m.rotary_base ** (-torch.arange(0, m.key_width, 2, device=device) / m.key_width)
    angle = place[:, None] * frequency
    cosine, sine = angle.cos()[None, :, None], angle.sin()[None, :, None]

    def turned(x):
        first, second = x.float().chunk(2, -1)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1).to(x.dtype)

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.ModuleList(nn.RMSNorm(m.width, eps=m.norm_eps) for _ in range(2))
            self.qkv = nn.Linear(m.width, (m.heads + 2 * m.kv_heads) * m.key_width, bias=False)
            self.out = nn.Linear(m.heads * m.key_width, m.width, bias=False)
            self.up = nn.Linear(m.width, 2 * m.ffn, bias=False)
            self.down = nn.Linear(m.ffn, m.width, bias=False)

        def forward(self, h):
            rows, length, _ = h.shape
            heads = self.qkv(self.norms[0](h)).view(rows, length, -1, m.key_width)
            q, k, v = heads.split([m.heads, m.kv_heads, m.kv_heads], 2)
            q, k, v = (x.transpose(1, 2) for x in (turned(q), turned(k), v))
            if blocks is None:
                seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                seen = flex_attention(q, k, v, block_mask=blocks)
            h = h + self.out(seen.transpose(1, 2).reshape(rows, length, -1))
            gate, up = self.up(self.norms[1](h)).chunk(2, -1)
            return h + self.down(F.silu(gate) * up)

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(shape.vocabulary, m.width)
            self.layers = nn.ModuleList(Layer() for _ in range(m.layers))
            self.norm = nn.RMSNorm(m.width, eps=m.norm_eps)
            self.head = nn.Linear(m.width, shape.vocabulary, bias=False)
            if m.tied_head:
                self.head.weight = self.tokens.weight
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    nn.init.normal_(parameter, std=m.init_std)

        def forward(self, tokens, targets, weights):
            h = self.tokens(tokens)
            for layer in self.layers:
                h = layer(h)
            h = self.norm(h[:, : shape.length])
            nll = F.cross_entropy(self.head(h).float().flatten(0, -2), targets.flatten(), reduction="none")
            return (nll * weights.flatten()).sum() / weights.sum()

    return Decoder().to(device)


def batch(shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, targets and weights; about half of the noisy tokens are masked."""
    random = np.random.default_rng(0)
    text = np.minimum(random.zipf(1.2, (shape.rows, shape.length)), shape.vocabulary - 1)
    is_masked = random.uniform(size=text.shape) < random.uniform(size=(shape.rows, 1))
    if shape.two_streams:
        noisy = np.where(is_masked, 3, text)
        return np.concatenate([noisy, text], 1), text, is_masked.astype(np.float32)
    return text, np.roll(text, -1, 1), np.ones(text.shape, np.float32)


def stepper(shape: Shape) -> Callable[[int], None]:
    """Takes so many compiled steps and waits for them."""
    import torch

    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = decoder(shape, device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    compiled, columns = torch.compile(module), [torch.as_tensor(column, device=device) for column in batch(shape)]

    def take(times):
        for _ in range(times):
            with torch.autocast(device, torch.bfloat16):
                loss = compiled(*columns)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss.item()

    return take


def report(name: str, shape: Shape, take: Callable[[int], None], pairs: int, burst: int) -> None:
    """Times bursts of steps and prints the line."""
    take(5)
    seconds = []
    for _ in range(pairs):
        start = time.perf_counter()
        take(burst)
        seconds.append((time.perf_counter() - start) / burst)
    low, middle, high = np.percentile(seconds, (25, 50, 75)) * 1e3
    tokens, mfu = shape.rows * shape.length, shape.flops / (middle / 1e3) / PEAK
    print(f"{name}  {middle:.2f} ms ({low:.2f}-{high:.2f}), {tokens / middle * 1e3:,.0f} tokens/s, MFU {mfu:.3f}")


def asked(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The flags that both ways of writing the step take, and the shape they mean."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--preset", default="125M")
    parser.add_argument("--mask", default="causal", choices=("causal", "two-streams"))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--burst", type=int, default=10)
    flags = parser.parse_args()
    model = preset(flags.preset)
    size = model.padded_vocab(VOCABULARY)
    flags.shape = Shape(model, size, flags.rows, flags.length, flags.mask == "two-streams")
    return flags


def main() -> None:
    """Prints one line."""
    flags = asked(argparse.ArgumentParser(description=__doc__))
    if not importlib.util.find_spec("torch"):
        print("skipped: torch is not installed")
        return
    version = importlib.metadata.version("torch")
    name = f"torch {version} {'FlexAttention' if flags.shape.two_streams else 'SDPA'}"
    report(name, flags.shape, stepper(flags.shape), flags.pairs, flags.burst)


if __name__ == "__main__":
    main()
