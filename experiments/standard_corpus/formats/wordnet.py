"""WordNet's data files: the words of a synset and its gloss, without the pointers between them."""

from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found


def read(files: Iterable[File]) -> Iterator[Found]:
    """`word, word: gloss`, named by the synset's offset and the last four letters of its file."""
    for file in files:
        for line in file.text.splitlines():
            if not line.startswith(" "):  # the licence
                facts, _, gloss = line.partition(" | ")
                offset, _, _, count, *words = facts.split()
                shown = ", ".join(words[: 2 * int(count, 16) : 2]).replace("_", " ")
                yield Found(offset + file.name[-4:], f"{shown}: {gloss.strip()}")
