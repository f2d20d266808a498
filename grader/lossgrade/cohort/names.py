"""Names, ids and addresses of students as they are compared, whoever wrote them."""

from __future__ import annotations

import unicodedata

# Accents: what Latin, Greek and Cyrillic letters may be written without. The marks of other
# scripts are vowels (Devanagari, Thai) or make another letter (Japanese).
_ACCENTS = range(0x300, 0x370)


def key(text: str) -> str:
    """Return an id, an address or a name without what nobody tells apart by: case and width."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def words(name: str) -> tuple[str, ...]:
    """Return a name's words in the order in which they are said: "Doe, Jane" is jane, doe."""
    last, _, first = name.partition(",")
    kept = (c if _is_of_a_word(c) else " " for c in key(f"{first} {last}"))
    return tuple("".join(kept).split())


def joined(name: str) -> str:
    """Return all of a name's letters in the order in which they stand: "Doe, Jane" is doejane."""
    return "".join(c for c in key(name) if _is_of_a_word(c))


def without_accents(text: str) -> str:
    """Return the letters, digits and marks of a text, without case and accents."""
    plain = unicodedata.normalize("NFKD", key(text))
    return "".join(c for c in plain if _is_of_a_word(c) and ord(c) not in _ACCENTS)


def has_accents(text: str) -> bool:
    return any(ord(c) in _ACCENTS for c in unicodedata.normalize("NFKD", text))


def agree(one: str, other: str) -> bool:
    """Say whether two names may be one person's: one has all words of the other, or is "".

    doejane, as the files of a Canvas download begin, has all words of "Doe, Jane". Names in
    different scripts cannot be compared.
    """
    a, b = sorted((words(one), words(other)), key=len)
    return (
        {*a} <= {*b}
        or joined(one) in _squashed(other)
        or joined(other) in _squashed(one)
        or not _scripts(a) & _scripts(b)
    )


def contradict(one: str, other: str) -> bool:
    """Say whether two names are hardly one person's: not even one word is the same."""
    return not {*words(one)} & {*words(other)} and not agree(one, other)


def _squashed(name: str) -> set[str]:
    """Return a name's letters as they stand, and from each of its words on."""
    found = words(name)
    return {joined(name)} | {"".join(found[i:] + found[:i]) for i in range(len(found))}


def _scripts(found: tuple[str, ...]) -> set[str]:
    letters = {character for word in found for character in word if character.isalpha()}
    return {unicodedata.name(character, "").partition(" ")[0] for character in letters}


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")
