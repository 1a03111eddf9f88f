"""The masks people name. Each is a line or two of the language a user writes `custom` masks in, and says one thing:
`causal() & window(1023) & same_segment()` is a sliding window over packed documents.

`index` orders tokens along a row or stream, `position` counts inside a document. A mask that compares positions knows
nothing of documents, so packed rows join it with `same_segment()`.

Pictures: queries downwards, keys to the right, 1 where the query sees the key. The row is `a a a a b ·`: a document of
four tokens, one of a single token, padding; blocks of two, begun afresh at each document; `prefix_length` 2, 1 and 0.
"""

from collections.abc import Callable

import numpy as np

from hybridlm.facts.names import CLEAN
from hybridlm.masks.expressions import Always, Named, Opaque, Table
from hybridlm.masks.mask import Mask
from hybridlm.masks.recording import Record, Truth, record


def custom(function: Callable[[Record, Record], Truth]) -> Mask:
    """A user's own mask: a plain function of the facts of a query and a key, called once, now, with symbols.

    It may use comparisons, + - and abs, * // % by constants, and & | ~ ^, on any fact or integer column of the batch:
    `masks.custom(lambda q, k: (q.position - k.position) % 4 == 0)`.
    """
    return Mask(record(function))


def _named(name: str, function: Callable[[Record, Record], Truth], **arguments) -> Mask:
    return Mask(Named(name, tuple(arguments.items()), record(function)))


def causal() -> Mask:
    """A token sees itself and what came before it in its row.

    1 . . . . .
    1 1 . . . .
    1 1 1 . . .
    1 1 1 1 . .
    1 1 1 1 1 .
    1 1 1 1 1 1
    """
    return _named("causal", lambda q, k: q.index >= k.index)


def bidirectional() -> Mask:
    """Everything sees everything.

    1 1 1 1 1 1
    1 1 1 1 1 1
    1 1 1 1 1 1
    1 1 1 1 1 1
    1 1 1 1 1 1
    1 1 1 1 1 1
    """
    return Mask(Named("bidirectional", (), Always(True)))


def prefix(length: int | None = None) -> Mask:
    """The first `length` tokens of a document are visible to all; None reads the fact `prefix_length`, per token.

    Joined with causal it is prefix-LM: `(causal() | prefix()) & same_segment() & valid()`.

    1 1 . . 1 .
    1 1 . . 1 .
    1 1 . . 1 .
    1 1 . . 1 .
    1 1 . . 1 .
    1 1 . . 1 .
    """
    if length is None:
        return _named("prefix", lambda q, k: k.position < k.prefix_length)
    return _named("prefix", lambda q, k: k.position < length, length=length)


def window(left: int, right: int = 0) -> Mask:
    """`left` other tokens before the query and `right` after it: window(1023) shows 1024, the query's own included.

    window(2, 1):

    1 1 . . . .
    1 1 1 . . .
    1 1 1 1 . .
    . 1 1 1 1 .
    . . 1 1 1 1
    . . . 1 1 1
    """
    if left < 0 or right < 0:
        raise ValueError(f"window({left}, {right}) counts other tokens on each side, so neither may be negative.")

    def rule(q, k):
        return (q.index - k.index <= left) & (k.index - q.index <= right)

    return _named("window", rule, left=left, right=right)


def same_segment() -> Mask:
    """Only tokens of the query's own document, which makes packed documents separate sequences.

    1 1 1 1 . .
    1 1 1 1 . .
    1 1 1 1 . .
    1 1 1 1 . .
    . . . . 1 .
    . . . . . 1
    """
    return _named("same_segment", lambda q, k: q.segment == k.segment)


def valid() -> Mask:
    """Padding is never seen.

    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    """
    return _named("valid", lambda q, k: k.valid == 1)


def padding() -> Mask:
    """Only the first `length` tokens of a row are seen; the fact `length` says so on every token of the row.

    Unlike `valid` it promises that padding stands at the end, which fused kernels support natively. With `length` 5:

    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    1 1 1 1 1 .
    """
    return _named("padding", lambda q, k: k.index < k.length)


def block_causal(size: int | None = None) -> Mask:
    """A token sees its own block whole and all earlier blocks; None reads the fact `block`, a size counts positions.

    1 1 . . . .
    1 1 . . . .
    1 1 1 1 . .
    1 1 1 1 . .
    1 1 1 1 1 .
    1 1 1 1 1 1
    """
    if size is None:
        return _named("block_causal", lambda q, k: q.block >= k.block)
    return _named("block_causal", lambda q, k: q.position // size >= k.position // size, size=size)


def block_diffusion() -> Mask:
    """BD3-LM's training mask over a clean and noisy streams (Arriola et al. 2025, 2503.09573, §3.1 and Fig. 3).

    Noisy tokens see their own noisy block and the clean blocks before it; clean ones see clean blocks up to their own.
    Four clean tokens, then their noisy copies, in blocks of two:

    1 1 . . . . . .
    1 1 . . . . . .
    1 1 1 1 . . . .
    1 1 1 1 . . . .
    . . . . 1 1 . .
    . . . . 1 1 . .
    1 1 . . . . 1 1
    1 1 . . . . 1 1
    """

    def rule(q, k):
        within_block = (q.block == k.block) & (q.stream == k.stream)
        earlier_clean = (q.block > k.block) & (k.stream == CLEAN) & (q.stream != CLEAN)
        clean_causal = (q.block >= k.block) & (k.stream == CLEAN) & (q.stream == CLEAN)
        return within_block | earlier_clean | clean_causal

    return _named("block_diffusion", rule)


def chunk(size: int) -> Mask:
    """Documents are cut into chunks of `size` tokens, and a token sees its own chunk alone. chunk(3):

    1 1 1 . 1 1
    1 1 1 . 1 1
    1 1 1 . 1 1
    . . . 1 . .
    1 1 1 . 1 1
    1 1 1 . 1 1
    """
    return _named("chunk", lambda q, k: q.position // size == k.position // size, size=size)


def strided(step: int) -> Mask:
    """Tokens a multiple of `step` apart see each other (Child et al. 2019, 1904.10509). strided(2):

    1 . 1 . 1 1
    . 1 . 1 . .
    1 . 1 . 1 1
    . 1 . 1 . .
    1 . 1 . 1 1
    1 . 1 . 1 1
    """
    return _named("strided", lambda q, k: (q.position - k.position) % step == 0, step=step)


def unified() -> Mask:
    """The one rule that covers causal, prefix, bidirectional, block and clean/noisy masks; the facts decide which.

    Same document, key not padding, and
        clean key: a clean query sees blocks up to its own, a noisy query sees earlier blocks alone;
        noisy key: seen from its own block of its own stream alone.
    With block = index it is causal, with one block a document bidirectional, with the prefix as one block and a block a
    token after it prefix-LM, with position // B and two streams block diffusion. Rows of a batch may differ in this.

    1 1 . . . .
    1 1 . . . .
    1 1 1 1 . .
    1 1 1 1 . .
    . . . . 1 .
    . . . . . .
    """

    def rule(q, k):
        clean_query, clean_key = q.stream == CLEAN, k.stream == CLEAN
        sees_clean = (clean_query & (q.block >= k.block)) | (q.block > k.block)
        sees_noisy = (q.stream == k.stream) & (q.block == k.block)
        return (q.segment == k.segment) & (k.valid == 1) & ((clean_key & sees_clean) | (~clean_key & sees_noisy))

    return _named("unified", rule)


def dense(values) -> Mask:
    """The slow escape hatch: a boolean array [T, S] over slots of a row, or any function of two records of fact arrays.

    The kernels of Hopper GPUs read it as bits where a batch is small enough to keep them; elsewhere attention falls to
    the dense path and says so. An array is stored with the mask; a function cannot be, and a config that holds one
    refuses to be saved.
    """
    if callable(values):
        return Mask(Opaque(values))
    array = np.asarray(values)
    if array.dtype != bool or array.ndim != 2:
        raise ValueError(
            "masks.dense takes a boolean array [T, S], True where the query may see the key; got "
            f"{array.dtype} with shape {array.shape}. Masks that differ between rows belong into the facts: "
            "add an integer column to the batch and compare it in masks.custom."
        )
    return Mask(Table(array.shape, np.packbits(array).tobytes()))
