"""Tasks and a Mixture as a group has them in a module of its own; their files lie where $SEQIO_FILES says."""

import functools
import os
import pathlib

import seqio
import tensorflow as tf

FILES = pathlib.Path(os.environ["SEQIO_FILES"])
SPLITS = {split: str(FILES / f"{split}.tsv") for split in ("train", "validation", "test")}

PIECES = seqio.SentencePieceVocabulary(str(FILES / "pieces.model"))
ENDED, OPEN = seqio.Feature(PIECES), seqio.Feature(PIECES, add_eos=False)
STRING = seqio.Feature(seqio.PassThroughVocabulary(0), dtype=tf.string, rank=0)
TOKENIZED = [seqio.preprocessors.tokenize, seqio.preprocessors.append_eos]


@seqio.map_over_dataset
def question_and_answer(line):
    question, answer = tf.unstack(tf.strings.split(line, "\t"), 2)
    return {"inputs": tf.strings.upper(question), "targets": answer}


@seqio.map_over_dataset
def numbered(line):
    return {"targets": line, "id": tf.strings.substr(line, 0, 4), "group": "all"}


def add(name, features, *preprocessors, source=None):
    seqio.TaskRegistry.add(
        name,
        source or seqio.TextLineDataSource(SPLITS),
        output_features=features,
        preprocessors=preprocessors,
    )


def examples(columns, split, shuffle_files, seed=None):
    del split, shuffle_files, seed
    return tf.data.Dataset.from_tensor_slices(columns)


def given(*splits, **columns):
    return seqio.FunctionDataSource(functools.partial(examples, columns), splits=splits)


def fails(split, shuffle_files, seed=None):
    raise ConnectionError("data.example.org cannot be reached")


@seqio.map_over_dataset(num_seeds=1)
def drawn(example, seed):
    return {"targets": tf.strings.as_string(tf.random.stateless_uniform([], seed))}


add("strings", {"inputs": STRING, "targets": STRING}, question_and_answer)
add("questions", {"inputs": OPEN, "targets": ENDED}, question_and_answer, *TOKENIZED)
add("ended", {"inputs": ENDED, "targets": ENDED}, question_and_answer, *TOKENIZED)
add("lines", {"targets": ENDED}, numbered, *TOKENIZED, source=seqio.TextLineDataSource({"train": SPLITS["train"]}))
add("random", {"targets": STRING}, drawn, source=given("train", targets=["a", "b"]))
add(
    "picture",
    {"inputs": OPEN, "targets": ENDED},
    seqio.preprocessors.append_eos,
    source=given("train", inputs=[[17, 18, 15], [18, 14, 16]], targets=[[13, 19], [14, 13]]),
)

few = {"inputs": [f"what is {n} ?" for n in range(30)], "targets": ["it is so ."] * 30}
add("few", {"inputs": OPEN, "targets": ENDED}, *TOKENIZED, source=given("train", "validation", "extra", **few))
seqio.MixtureRegistry.add("mixed", [("few", 1), ("questions", 3)])

BYTES = seqio.Feature(seqio.ByteVocabulary())
add("bytes", {"targets": BYTES}, *TOKENIZED, source=given("test", targets=["naïve\n", "漢字"]))
add("sentinels", {"targets": BYTES}, source=given("train", targets=[[100, 101, 300]]))
add("numbers", {"scores": seqio.Feature(PIECES, dtype=tf.float32)}, source=given("train", scores=[[0.5]]))
add("cached", {"targets": STRING}, seqio.CacheDatasetPlaceholder(required=True), source=given("train", targets=["a"]))
add("remote", {"targets": STRING}, source=seqio.FunctionDataSource(fails, splits=["train"]))
