"""The closed classes of English: words that grammar, not the topic, asks for. No tagger is needed to find them.

A form of several classes stands in the one it has most often; a short form such as `it's` has the class of what stands
before the apostrophe.
"""

CLASSES = {
    "determiner": """
        a an the this these those each every either neither some any no all both half much many more most little less
        least few fewer several enough another other such
    """,
    "pronoun": """
        i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself we
        us our ours ourselves they them their theirs themselves one's oneself who whom whose what which whoever whomever
        whatever whichever someone somebody something anyone anybody anything everyone everybody everything none nobody
        nothing there thou thee thy thine ye
    """,
    "preposition": """
        about above across after against along alongside amid among amongst around as at before behind below beneath
        beside besides between beyond by despite down during except for from in inside into like near of off on onto
        opposite out outside over past per regarding since than through throughout till to toward towards under
        underneath until unto up upon via with within without
    """,
    "conjunction": """
        and but or nor so yet because although though unless while whilst whereas whether if lest once when whenever
        where wherever why how that
    """,
    "auxiliary": """
        am is are was were be been being have has had having do does did doing can could may might must shall should
        will would ought cannot ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't
        mustn't needn't shan't shouldn't wasn't weren't won't wouldn't
    """,
    "particle": "not",
}

_CLASS_OF = {word: name for name, listed in CLASSES.items() for word in listed.split()}


def class_of(word: str) -> str:
    """The closed class of a word in lower case, "" for a content word."""
    return _CLASS_OF.get(word) or _CLASS_OF.get(word.partition("'")[0], "")
