"""Tables of words, written as prose so that a person can read and extend them."""


def words(table: str) -> frozenset[str]:
    """The words of a table, which white space separates."""
    return frozenset(table.split())
