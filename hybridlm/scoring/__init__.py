"""Hidden states to per-token scores and category sums, never holding [B, T, V].

It works from foreign code: everything takes arrays and a `facts.head.Head`, nothing needs a model, a config or a mesh.
"""
