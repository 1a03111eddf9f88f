"""Which texts of a source stand or fall together: a group is never divided between splits."""


def alone(source: str, name: str) -> str:
    """A group of its own."""
    return f"{source}/{name}"


def folder(source: str, name: str) -> str:
    """The files of one folder."""
    return f"{source}/{name.rpartition('/')[0]}"


def subpackage(source: str, name: str) -> str:
    """The first three names of the path: a package's larger modules alone, its deeper folders together."""
    return f"{source}/{'/'.join(name.split('/')[:3])}"


def module(source: str, name: str) -> str:
    """Pages about one dotted name, told apart by its first three parts."""
    return f"{source}/{'.'.join(name.rpartition('/')[2].split('.')[:3])}"


def headword(source: str, name: str) -> str:
    """An entry of a dictionary, in one numbering for all of them."""
    del source
    return f"dict/{name}"


def table(source: str, name: str) -> str:
    """The pieces of one table."""
    del source
    return name.partition("#")[0]
