"""The vocabulary every room shares; it imports nothing of ours.

Facts about tokens -> who may attend -> hidden states -> one NLL per token -> the loss and the category metrics.

Axis letters, used as suffixes of array names (`logits_BTV`) and in jaxtyping annotations:

    B batch row        T query token      S attended token    D model width
    H query head       J key/value head   K head width        F feed-forward width
    V vocabulary       L layer            G expert (several predictions of one token)
    C category label   M family           P part of a mixture  N document or split group

Conventions, fixed here for the whole package:

    t          time of a diffusion process in [0, 1]: 0 is clean text, 1 is all noise; it may differ per token
    alpha(t)   probability that a token is still its clean self at time t
    window     number of *other* tokens visible on a side: window(1023) shows 1024 tokens
    mask       who may attend to whom; the mask *token* of a diffusion model is always `mask_id`
    loss       nats; bits per byte beside it come from counted bytes
    is_*       boolean arrays are questions, and True is the answer "yes" (`is_masked_BT`)

Importing this package loads no jax: `facts.names` and `facts.kinds` are plain Python, the rest is not.
"""
