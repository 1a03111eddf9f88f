"""Which whitespace a token is, if it is nothing else."""

from hybridlm.categories.family import Family, each_token

LABELS = {
    "none": "holds something other than whitespace, or nothing",
    "newline": "one line break",
    "blank_lines": "two line breaks or more",
    "indentation": "a line break and the indentation after it, or two spaces or more",
    "spaces": "a single space, or a rarer space character",
    "tab": "a tab on the same line",
}


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    text = token.decode(errors="replace")
    if not text.isspace():
        return "none"
    breaks = text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    if breaks > 1:
        return "blank_lines"
    if breaks:
        return "newline" if text[-1] in "\r\n" else "indentation"
    if "\t" in text:
        return "tab"
    return "indentation" if len(text) > 1 else "spaces"


FAMILY = Family(
    name="whitespace",
    question="Which whitespace is the token?",
    labels=LABELS,
    assign=each_token(label),
)
