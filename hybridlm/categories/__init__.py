"""Text and vocabulary -> labels: what kind of token is this target?

A family is a partition: it gives every token exactly one of its labels, so the counts and sums of its labels always add
up to the whole. Families of the vocabulary (`families/`) depend on the id, some also on the language of the document,
and are tables gathered on the device. Families of positions (`positions/`) are read off the whole document before it is
cut into rows, and travel beside the tokens as columns; `domain` is a column that the data carries anyway.

    columns = compile_document(families, text, ids_N, ends_N, language, lexicon)   # once a document, numpy
    tables = build(token_bytes, counts_V, special_ids, domains, columns=columns)   # once a run, numpy
    labels_MBT = flat_labels(tables, targets_BT, columns)                          # every step, inside jit
    tables.names[labels_MBT[m, b, t]]                                              # -> ("bracket", "open")
    parse("content & ~copy1", tables.families)                                     # a filter over all of them

A new family is one file in one of the two folders, one row in its list, and its test. `registry` says how a user adds
one from outside, and describes all there are.
"""
