"""The language that people are spoken to in: English, or one that has a catalogue.

Everything a student reads goes through `say`. A catalogue is an ordinary gettext one, in
`locale/LANGUAGE/LC_MESSAGES/lossgrade.mo`; `docs/translate.py` makes it, with Babel.
"""

from __future__ import annotations

import gettext
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "zh")

_catalogue: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def use(language: str) -> None:
    """Speak `language` from now on, in this process.

    Raises:
        ValueError: there is no such language.
    """
    global _catalogue, _language
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r}, expected one of {', '.join(LANGUAGES)}")
    if language == "en":
        _catalogue = gettext.NullTranslations()
    else:
        _catalogue = gettext.translation("lossgrade", LOCALE, [language])
    _language = language


def used() -> str:
    """Return the language that is spoken now."""
    return _language


def say(text: str, /, **values: object) -> str:
    """Return `text` in the language that is used, its `{names}` replaced by `values`.

    The first argument is a literal, or a text that the catalogue knows from elsewhere: one that
    was marked by `later`, or a docstring of a criterion or of a misconception.
    """
    said = _catalogue.gettext(text) if text else ""
    return said.format(**values) if values else said


def later(text: str) -> str:
    """Return `text` as it is: marks a constant for the catalogue, said where it is used.

    A module is imported before the language is chosen.
    """
    return text
