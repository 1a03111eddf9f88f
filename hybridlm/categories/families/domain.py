"""Which domain or language the document belongs to: a column of the prepared rows; the data names the labels."""

from hybridlm.categories.family import LANGUAGE, Family

FAMILY = Family(
    name="domain",
    question="Which domain is the document from?",
    labels=None,
    column=LANGUAGE,
)
