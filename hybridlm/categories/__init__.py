"""Text and vocabulary -> labels: what kind of token is this target?

A family is a partition: it gives every token exactly one of its labels, so the counts and sums of its labels always add
up to the whole. Most families depend on the vocabulary id alone and are tables gathered on the device; `keyword` also
reads the language of the document; `word_band` and `domain` are columns that the data already carries.

    tables = build(token_bytes, counts_V, special_ids, domains)     # once, numpy
    labels_MBT = flat_labels(tables, targets_BT, columns)           # every step, inside jit
    tables.names[labels_MBT[m, b, t]]                               # -> ("bracket", "open")

A new family is one file under `families/`, one row in `families.FAMILIES`, and its test.
"""
