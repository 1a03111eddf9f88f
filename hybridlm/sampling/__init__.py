"""From a prediction to text: what to draw, where to draw it, caches, and a jitted loop of fixed shapes per sampler.

`samplers.SAMPLERS` has them by name, as a `Writer` each, which `streaming.write` drives: prompts in, text out, chunk by
chunk. A network is handed in as a `Network`: parameters and two functions.
"""
