"""Names of the facts that every token carries, and the range their values stay in."""

STANDARD = ("position", "index", "segment", "block", "stream", "valid")
"""The facts of every `TokenFacts`, in order; further integer columns of a batch join them under their own names."""

LIMIT = 2**29
"""Every fact satisfies -LIMIT < value < LIMIT, so that sums and differences of two facts and a constant fit int32."""

CLEAN = 0
"""The stream of clean tokens; stream s >= 1 is the s-th noisy copy of them."""
