"""What the student's process and its host say, in the language that is used.

The untrusted process knows no languages: it speaks English, which comes back as text, names and
numbers filled in. Here each phrase is found again, and said.
"""

from __future__ import annotations

import re
from functools import cache

from lossgrade.language import later, say, used

# The more particular come first: the first that fits is taken. {line} and {cell} are digits.
PHRASES = (
    # The loading of the file.
    later("{where}: the file is {encoding} text; save it as UTF-8"),
    later("{where}: the file holds NUL bytes; save it as UTF-8"),
    later("{where}: not UTF-8 text ({error}); save it as UTF-8"),
    later("{where}: {error}; save the file as UTF-8"),
    later("{where}: Python cannot parse the file ({error}); is an expression nested too deeply?"),
    later("{where}: not a Jupyter notebook (its JSON cannot be read)"),
    later("{where}: the notebook has no code cell with code in it"),
    later("{where}: cannot be read ({error})"),
    later("{where}: {error}; the rest was run"),
    later("{error}; the cell was skipped"),
    later("{where}: skipped, `{magic}` is not Python"),
    later("{where}: skipped `{magic}`"),
    later("SystemExit: the program ended itself, as sys.exit does"),
    later("EOFError: input() has nobody to ask here"),
    # What stands under a function's name.
    later("cannot be used: {error}"),
    later("creating the class failed: {error}"),
    later("is a {type}, not a function: does a later line reuse it?"),
    later("is an {type}, not a function: does a later line reuse it?"),
    later("is async; define it with a plain `def`"),
    later("is not defined"),
    # What a function returned.
    later("returned a result that its memory limit leaves no room to send"),
    later("returned a frame of {number} arrays, more than {cap}"),
    later("returned a frame of {number} bytes is larger than {cap} MiB, the most that is carried"),
    later("returned a ragged {container}: its rows differ in length"),
    later("returned a {container} that is nested too deeply or too long"),
    later("returned a {type}, which is no array"),
    later("returned an {type}, which is no array"),
    later("returned a {type}, expected a tuple of loss and gradient"),
    later("returned an {type}, expected a tuple of loss and gradient"),
    later("returned a nested tensor; return a plain one"),
    later("returned a sparse tensor; return a dense one (.to_dense())"),
    later("returned a tensor on the meta device, which holds no values"),
    later("returned complex numbers ({dtype})"),
    later("returned an object array (dtype=object); are its rows of equal length?"),
    later("returned an array of dtype {dtype}, which is not numeric"),
    later("returned {size} MiB, more than the {cap} MiB that a result may have"),
    later("returned an integer too large for a float"),
    later("the result is a {type}, not a tensor"),
    later("the result is an {type}, not a tensor"),
    later("the result is cut off from its input"),
    later("the result has shape {shape}"),
    # How a process ended.
    later("ran longer than {seconds} seconds, printing {size} MiB of output"),
    later("ran longer than {seconds} seconds"),
    later("printed more than {size} MiB of output"),
    later("used up the {seconds} seconds of the whole submission"),
    later("sent an answer that is no answer"),
    later("wrote to the grader's own pipe: {error}"),
    later("ended the Python process (exit code {status}), as os._exit does"),
    later("ended the Python process ({signal})"),
    later("crashed Python (segmentation fault): recursion too deep, or wild memory access"),
    later("used up its processor time"),
    later("was killed (out of memory or processor time), or closed the grader's own pipes"),
    later("aborted Python"),
    later("crashed Python (bus error)"),
    later("made a system call that is not allowed here"),
    # Places, within the others.
    later("{file}, cell {cell}, line {line}"),
    later("{file}, cell {cell}"),
    later("{file}, line {line}"),
)


def retold(text: str) -> str:
    """Return `text` in the language that is used, as far as it is made of the phrases above."""
    if used() == "en":
        return text
    for phrase in PHRASES:
        if found := _pattern(phrase).fullmatch(text):
            values = {name: retold(value) for name, value in found.groupdict().items()}
            return say(phrase, **values)
    return text


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    pieces = []
    for piece in re.split(r"(\{\w+\})", phrase):
        name = piece[1:-1]
        if not piece.startswith("{"):
            pieces.append(re.escape(piece))
        elif name in ("line", "cell"):
            pieces.append(rf"(?P<{name}>\d+)")
        else:
            pieces.append(f"(?P<{name}>.+?)")
    return re.compile("".join(pieces), re.DOTALL)
