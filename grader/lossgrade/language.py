"""The language that people are spoken to in: English, or one that has a catalogue.

Everything a student reads goes through `say`. A catalogue is an ordinary gettext one, in
`locale/LANGUAGE/LC_MESSAGES/lossgrade.mo`, made with Babel.
"""

from __future__ import annotations

import gettext
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "zh")

_catalogue: gettext.NullTranslations = gettext.NullTranslations()


def use(language: str) -> None:
    """Speak `language` from now on, in this process.

    Raises:
        ValueError: there is no such language.
    """
    global _catalogue
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r}, expected one of {', '.join(LANGUAGES)}")
    _catalogue = gettext.NullTranslations()
    if language != "en":
        _catalogue = gettext.translation("lossgrade", LOCALE, [language])


def say(text: str, /, **values: object) -> str:
    """Return `text` in the language that is used, its `{names}` replaced by `values`.

    The first argument is a literal, or a text that the catalogue knows from elsewhere: a
    docstring of a criterion or of a misconception.
    """
    said = _catalogue.gettext(text) if text else ""
    return said.format(**values) if values else said
