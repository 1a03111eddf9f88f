"""MEDLINE: titles and abstracts of English articles that carry no publisher's notice."""

import gzip
import io
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from experiments.standard_corpus.texts import File, Found

_ABSTRACT = "MedlineCitation/Article/Abstract"


def read(files: Iterable[File]) -> Iterator[Found]:
    """Title, an empty line, and the abstract, whose parts keep their labels; named by PMID."""
    for file in files:
        for _, article in ElementTree.iterparse(io.BytesIO(gzip.decompress(file.content))):
            if article.tag == "PubmedArticle":
                if _is_wanted(article):
                    yield Found(article.findtext("MedlineCitation/PMID"), _text(article))
                article.clear()


def _is_wanted(article: ElementTree.Element) -> bool:
    return (
        article.findtext("MedlineCitation/Article/Language") == "eng"
        and article.find(f"{_ABSTRACT}/AbstractText") is not None
        and article.find(f"{_ABSTRACT}/CopyrightInformation") is None
    )


def _text(article: ElementTree.Element) -> str:
    parts = article.findall(f"{_ABSTRACT}/AbstractText")
    labels = [f"{part.get('Label')}: " if part.get("Label") else "" for part in parts]
    paragraphs = [label + "".join(part.itertext()) for label, part in zip(labels, parts)]
    title = "".join(article.find("MedlineCitation/Article/ArticleTitle").itertext())
    return f"{title}\n\n{' '.join(paragraphs)}"
