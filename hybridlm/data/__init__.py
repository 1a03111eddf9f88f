"""Text -> packed fixed-length rows on disk -> batches that are a function of (seed, step).

    prepared = prepare(DataConfig(), "data")                    # once: tokenise, split by group, pack, write
    stream = TrainStream(prepared.rows("train"), seed=0, batch_rows=32)
    columns = stream.batch(step)                                # named int32 columns, [rows, T]

Nothing here needs TensorFlow or an accelerator, and the state of the stream is one integer, the step.
"""
