"""What sums over tokens can prove: every statistic is a function of sums per cluster, and clusters are what is drawn.

Tokens of one document are not independent, so a cluster (a split group, or a document where there is none) is the unit
of every interval and test. Plain numpy and scipy on arrays, for any engine's scores: no model, mesh or jax.

Axis letters besides those of `hybridlm.facts`: N cluster, R draw of a bootstrap, B bin, P regressor or placebo pair.

| file | question |
|---|---|
| `sums` | what is kept of the tokens, and the paired gap of two models |
| `intervals`, `linearised`, `resampling` | how far is a ratio of sums to be trusted? |
| `sign_flips` | could a gap be chance, alone and among all that were looked at? |
| `equivalence` | which gaps differ, which are too small to matter, and which are not known? |
| `multiplicity`, `power`, `shares` | how many findings are false, what gap could be seen, and who carries it? |
| `regression`, `design` | what of a gap is left, other properties of the tokens being equal? |
| `placebo` | would any better model show the same? |
| `calibration`, `class_mass` | do confidences come true? |
| `recall` | what does repetition save, and from how far? |
| `transfer` | what would the gaps mean on another text? |
"""
