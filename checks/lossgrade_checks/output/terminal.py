"""What a terminal can show: colours, the width of characters, and nothing that controls it."""

from __future__ import annotations

import os
import unicodedata
from typing import Literal, NamedTuple, TextIO

ColorChoice = Literal["auto", "always", "never"]

_CODES = {"error": "31;1", "warning": "33;1", "info": "36;1", "bold": "1", "dim": "2", "path": "1"}
TAB = 4


class Style:
    """Colours, or none of them."""

    def __init__(self, *, colored: bool) -> None:
        self._colored = colored

    def __call__(self, text: str, style: str) -> str:
        """Return `text` in a style: a severity, "bold" or "dim"."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._colored and text else text


def style_for(stream: TextIO, choice: ColorChoice) -> Style:
    """Return colours if `choice` says so; when it is "auto", on a terminal.

    NO_COLOR and FORCE_COLOR (see no-color.org and force-color.org) count under "auto", the first
    one before the second.
    """
    if choice != "auto":
        return Style(colored=choice == "always")
    if os.environ.get("NO_COLOR"):
        return Style(colored=False)
    if os.environ.get("FORCE_COLOR"):
        return Style(colored=True)
    return Style(colored=stream.isatty() and os.environ.get("TERM") != "dumb")


class Shown(NamedTuple):
    """A character as it is shown, and how many columns it takes."""

    text: str
    columns: int


def shown(character: str) -> Shown:
    """Return how a character of a program is shown: a tab as spaces, controls as signs."""
    if " " <= character < "\x7f":
        return Shown(character, 1)
    if character == "\t":
        return Shown(" " * TAB, TAB)
    category = unicodedata.category(character)
    if character < " " or character == "\x7f":
        # The signs of Unicode for these: U+2400 is that of U+0000, U+2421 that of U+007F.
        return Shown(chr(0x2400 + (ord(character) if character < " " else 0x21)), 1)
    if category in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"):
        # Among these are what turns the direction of text, and what ends a row elsewhere.
        return Shown("\N{REPLACEMENT CHARACTER}", 1)
    if category in ("Mn", "Me"):
        return Shown(character, 0)
    return Shown(character, 2 if unicodedata.east_asian_width(character) in "WF" else 1)


def plain(text: str) -> str:
    """Return `text` on one row and without characters that control a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(shown(character).text for character in text)
