"""Files as students hand them in: what runs, what is passed over, and which line is meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.student import CallError

if TYPE_CHECKING:
    from lossgrade.student import Student
    from support import Submit


def value(student: Student, name: str = "f", *arguments: Any) -> Any:
    return student.call(name, arguments, "numpy").value.values.tolist()


def raised(student: Student, name: str = "f") -> str:
    with pytest.raises(CallError) as caught:
        student.call(name, [], "numpy")
    return str(caught.value)


def notebook(*cells: Any) -> str:
    """Return a notebook; a text is a code cell of it."""
    full = [
        {"cell_type": "code", "source": cell} if isinstance(cell, str | list) else cell
        for cell in cells
    ]
    return json.dumps({"cells": full, "nbformat": 4}, ensure_ascii=False)


# --- what a module means -------------------------------------------------------------------------

MODULES = {
    "postponed annotations": """
        from __future__ import annotations
        def f(x: Nowhere = 7) -> Neither: return x
        """,
    "annotations are evaluated otherwise": """
        def f(): return 7 if g.__annotations__["x"] is int else 0
        def g(x: int): pass
        """,
    "a dataclass": """
        from __future__ import annotations
        from dataclasses import dataclass, field
        @dataclass
        class Pair:
            a: int
            b: list[int] = field(default_factory=list)
        def f(): return Pair(7).a
        """,
    "an enum, a named tuple, a typed dict": """
        import enum, typing
        class E(enum.Enum): A = 7
        class N(typing.NamedTuple): a: int
        class D(typing.TypedDict): a: int
        def f(): return N(E.A.value).a
        """,
    "pickling its own class": """
        import copy, pickle
        class C: a = 7
        def f(): return pickle.loads(pickle.dumps(copy.deepcopy(C()))).a
        """,
    "finding itself in sys.modules": """
        import sys
        def f(): return 7 if sys.modules[__name__].f is f else 0
        """,
    "the main guard is not run": """
        n = 7
        if __name__ == "__main__": n = 0
        def f(): return n
        """,
    "a global": """
        n = 6
        def f():
            global n
            n += 1
            return n
        """,
    "the source of a function": """
        import inspect
        def f(): return len(inspect.getsource(f).splitlines()) + 6
        """,
    "the source of a class": """
        import inspect
        class C:
            a = 1
        def f(): return len(inspect.getsource(C).splitlines()) + 5
        """,
    "the source while the file runs": """
        import inspect
        def g(): return 0
        n = len(inspect.getsource(g).splitlines())
        def f(): return n + 6
        """,
    "its own docstring": '''
        """Seven!"""
        def f(): return len(__doc__) + 1
        ''',
    "a star import": "from math import *\ndef f(): return int(pi) + 4",
    "a match statement": "def f(x=1):\n    match x:\n        case 1: return 7",
    "statements on one line": "import math; n = 7; f = lambda: n",
    "try, with, for and while": """
        try:
            import nowhere
        except ImportError:
            n = 7
        with open(__file__) as file:
            pass
        for i in range(3): pass
        else: m = 0
        while m: pass
        def f(): return n + m
        """,
    "a file of its own, written": """
        def f():
            with open("note.txt", "w") as file: file.write("7")
            return int(open("note.txt").read())
        """,
    "Chinese names and text": "数 = 7\ndef f(): '返回'; return 数  # 交叉熵",
    "carriage returns and line feeds": "n = 3\r\ndef f():\r\n    return n + 4\r\n",
    "tabs": "def f():\n\tif True:\n\t\treturn 7\n",
    "form feeds": "\x0cn = 7\n\x0c\ndef f():\n    return n\n",
    "a byte order mark": "\ufeffdef f(): return 7",
    "no newline at its end": "def f(): return 7",
    "separators inside strings": "s = 'a\x0c\u2028\x85\x1cb'\ndef f(): return len(s) + 1",
}


@pytest.mark.parametrize("text", MODULES.values(), ids=MODULES)
def test_a_module_may_have(submit: Submit, text: str) -> None:
    student = submit(text, "f")
    assert value(student) == 7
    assert student.loading.notes == []


@pytest.mark.parametrize("text", MODULES.values(), ids=MODULES)
def test_a_notebook_cell_may_have(submit: Submit, text: str) -> None:
    import textwrap

    source = textwrap.dedent(text).removeprefix("\ufeff")
    student = submit(notebook("x = 1", source), "f", name="hw.ipynb")
    if "class" in text and "getsource" in text:
        return  # `inspect` looks for a class in the module's file, here JSON
    assert value(student) == 7
    assert student.loading.notes == []


def test_other_encodings_with_a_cookie(submit: Submit) -> None:
    text = "# -*- coding: latin-1 -*-\ndef f():\n    return len('\xe9') / 0  # \xe9\n"
    said = raised(submit(text.encode("latin-1"), "f"))
    assert said.endswith("(hw.py, line 3: `return len('\xe9') / 0 # \xe9`)")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_numbers_are_pythons(submit: Submit, newline: str) -> None:
    # Form feeds and their like end no line.
    lines = ["s = '\x0c\x1c\u2028'", "\x0c", "def f():", "    return 1 / 0  # here"]
    assert "(hw.py, line 4: `return 1 / 0 # here`)" in raised(
        submit(newline.join(lines).encode(), "f")
    )


# --- what fails and what is passed over ----------------------------------------------------------


def test_statements_that_fail_hide_no_others(submit: Submit) -> None:
    student = submit(
        """
        import nowhere
        data = open("missing.csv")
        def f(): return 7
        raise BaseException("any")
        import sys; sys.exit(3)
        assert False, "a demo"
        quit()
        def g():
            return f()
        print(f"{g() / 0}")
        n: int = input()
        """,
        "f",
        "g",
    )
    assert value(student) == value(student, "g") == 7
    assert [note.partition(": ")[0] for note in student.loading.notes] == [
        f"hw.py, line {line}" for line in (2, 3, 5, 6, 7, 8, 11, 12)
    ]
    assert "No module named 'nowhere'" in student.loading.notes[0]


def test_notes_are_capped(submit: Submit) -> None:
    student = submit("1 / 0\n" * 100 + "def f(): return 7", "f")
    assert value(student) == 7
    assert len(student.loading.notes) == 40


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"def f(:\n", "hw.py, line 1: SyntaxError: invalid syntax: `def f(:`"),
        (b"x = 1\ndef f():\nreturn", "hw.py, line 3: IndentationError: expected an indented"),
        (b"x = 1\n\0", "hw.py, line 2: the file holds NUL bytes; save it as UTF-8"),
        ("x = '\xe9'".encode("latin-1"), "not UTF-8 text"),
        ("x = 1".encode("utf-16"), "hw.py: the file is UTF-16 text; save it as UTF-8"),
        (b"# coding: klingon\n", "unknown encoding: klingon; save the file as UTF-8"),
        (b"x = " + b"(" * 5000 + b")" * 5000, "hw.py, line 1: SyntaxError: too many nested"),
    ],
)
def test_a_file_that_cannot_run_says_why(submit: Submit, content: bytes, says: str) -> None:
    student = submit(content, "f")
    assert says in raised(student)
    assert says in student.loading.failure


@pytest.mark.parametrize("content", [b"", b"\n", b"# nothing\n", b"\xef\xbb\xbf"])
def test_an_empty_file_defines_nothing(submit: Submit, content: bytes) -> None:
    assert "no function named `f` was found" in raised(submit(content, "f"))


def test_a_file_that_nobody_can_read_is_said_to_be(submit: Submit) -> None:
    # Its size is what counts as read, hence a folder in its place.
    student = submit("", "f")
    from lossgrade.sandbox.worker import Calls

    folder = student.submission.path.parent
    told = Calls().load(
        {"folder": "", "path": str(folder), "display": "hw.py", "names": {}}, [], []
    )
    assert told == {"failed": "hw.py: cannot be read (Is a directory)"}


# --- folders -------------------------------------------------------------------------------------


def test_a_folder_has_its_modules_and_data(submit: Submit) -> None:
    student = submit(
        {
            "hw.py": """
                from pathlib import Path
                import helper, package.part
                from submission import three
                n = int(open("data/n.txt").read())
                m = int((Path(__file__).parent / "m.txt").read_text())
                def f(): return n + m + helper.one() + package.part.two() + three()
                def g(): return helper.main() is f
                """,
            "helper.py": "def one(): return 1\ndef main():\n    import hw\n    return hw.f\n",
            "package/__init__.py": "",
            "package/part.py": "def two(): return 2",
            "submission.py": "def three(): return 3",
            "data/n.txt": "10",
            "m.txt": "20",
        },
        "f",
        entry="hw.py",
    )
    assert value(student) == 36
    assert student.loading.notes == []


def test_an_entry_in_a_folder_below_finds_its_neighbours(submit: Submit) -> None:
    files: dict[str, str | bytes] = {
        "src/hw.py": "import near, far\ndef f(): return near.n + far.n",
        "src/near.py": "n = 3",
        "far.py": "n = 4",
    }
    assert value(submit(files, "f", entry="src/hw.py")) == 7


HIJACK = "def __getattr__(name): raise RuntimeError('hijacked')\n"


def test_files_named_like_libraries_hijack_nothing(submit: Submit) -> None:
    files: dict[str, str | bytes] = {
        "hw.py": """
            import colorsys, json, math, random, numpy as np, torch
            def f(x): return torch.ones(2).sum().item() + np.ones(4).sum() + colorsys.ONE_SIXTH * 0
            def g(x): return 1 / 0
            """,
        **{f"{name}.py": HIJACK for name in ("torch", "numpy", "math", "json", "colorsys")},
        "sitecustomize.py": "import os; os._exit(1)",
        "lossgrade/__init__.py": HIJACK,
    }  # fmt: skip
    student = submit(files, "f", "g", entry="hw.py", torch=True)
    assert student.call("f", [np.zeros(1)], "torch").value.values == 6
    assert "ZeroDivisionError" in str(student_error(student))


def student_error(student: Student) -> CallError:
    with pytest.raises(CallError) as caught:
        student.call("g", [np.zeros(1)], "torch")
    return caught.value


def test_a_single_file_has_no_neighbours(submit: Submit, tmp_path: Any) -> None:
    student = submit("import other\ndef f(): return 7", "f")
    (student.submission.path.parent / "other.py").write_text("")
    assert value(student) == 7
    assert "No module named 'other'" in student.loading.notes[0]


@pytest.mark.parametrize(
    "name", ["my hw-1 (final).py", "作业.py", "torch.py", "HW.PY", "hw.v2.py", "submission.py"]
)
def test_odd_file_names_are_fine(submit: Submit, name: str) -> None:
    student = submit("import numpy\ndef f(): return 7\ndef g(): 1 / 0", "f", "g", name=name)
    assert value(student) == 7
    assert f"({name}, line 3: `def g(): 1 / 0`)" in raised(student, "g")


# --- notebooks -----------------------------------------------------------------------------------

MAGICS = {
    "a line magic": "%matplotlib inline\ndef f(): return 7",
    "magics among lines": "n = 3\n%cd /tmp\n%load_ext autoreload\nm = 4\ndef f(): return n + m",
    "a shell line": "!pip install torch | grep 'done'\ndef f(): return 7",
    "a shell line with open quotes and brackets": "!echo \"it's (\ndef f(): return 7",
    "a shell line that goes on": "!pip install \\\n    numpy \\\n    torch\ndef f(): return 7",
    "a doubled shell line": "!!ls\ndef f(): return 7",
    "what a shell line prints": "x = !ls\ndef f(): return 7",
    "what a magic gives": "t = %timeit -o 1 + 1\ndef f(): return 7",
    "pip without a sign": "pip install d2l==1.0\ndef f(): return 7",
    "conda without a sign": "conda install -c pytorch numpy\ndef f(): return 7",
    "help before": "?len\ndef f(): return 7",
    "help after": "len??\ndef f(): return 7",
    "indented": "for i in range(2):\n    !echo {i}\n    %time\ndef f(): return 7",
    "magic alone in a body": "if True:\n    %matplotlib inline\ndef f(): return 7",
    "a timed cell": "%%time\ndef f(): return 7",
    "a captured cell": "\n\n%%capture out --no-stderr\ndef f(): return 7",
    "a percent sign inside brackets": "n = (47\n% 20)\n%cd x\ndef f(): return n",
    "a percent sign inside a string": 's = """\n%cd x\n!ls\n"""\n%cd y\ndef f(): return len(s)-4',
    "a percent sign after a backslash": "n = 47 \\\n% 20\n%cd x\ndef f(): return n",
    "a format at the end of a bracket": "n = int('%d'\n% 7)\n!ls\ndef f(): return n",
    "a question in a comment": "# why?\nn = 7  # really?\n%cd x\ndef f(): return n",
    "old carriage returns": "%cd x\r\nn = 7\r\ndef f():\r\n    return n",
}


@pytest.mark.parametrize("code", MAGICS.values(), ids=MAGICS)
def test_what_only_ipython_knows_is_passed_over(submit: Submit, code: str) -> None:
    student = submit(notebook(code), "f", name="hw.ipynb")
    assert value(student) == 7
    skipped = [note for note in student.loading.notes if "skipped" in note]
    assert student.loading.notes == skipped
    assert len(skipped) == 0 if code.lstrip().startswith("%%") else len(skipped) >= 1


@pytest.mark.parametrize(
    "first", ["%%bash", "%%html", "%%writefile f.py", "%%javascript", "%%", "%%latex x = 1"]
)
def test_cells_in_another_language_are_passed_over(submit: Submit, first: str) -> None:
    student = submit(
        notebook(f"{first}\ndef f(): return 0", "def f(): return 7"), "f", name="hw.ipynb"
    )
    assert value(student) == 7
    assert student.loading.notes == [f"hw.ipynb, cell 1: skipped, `{first}` is not Python"]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def f():\n    return 1 / 0", 2),
        ("%cd x\n!ls\n\ndef f():\n    return 1 / 0", 5),
        ("%%time\n\ndef f():\n    return 1 / 0", 4),
        ("\n\n%%time\ndef f():\n    return 1 / 0", 5),
        ("!a \\\n  b\ndef f():\n    return 1 / 0", 4),
        ("%%time\r\ns = '\x0c\u2028'\r\ndef f():\r\n    return 1 / 0", 4),
    ],
)
def test_lines_of_a_cell_keep_their_numbers(submit: Submit, code: str, line: int) -> None:
    student = submit(notebook({"cell_type": "markdown"}, code), "f", name="hw.ipynb")
    assert f"(hw.ipynb, cell 2, line {line}: `return 1 / 0`)" in raised(student)


def test_a_broken_cell_hides_no_others(submit: Submit) -> None:
    student = submit(
        notebook("def f(:", "import nowhere", "def f(): return 7", "f() / 0", "x = (", "await f()"),
        "f",
        name="hw.ipynb",
    )
    assert value(student) == 7
    told = " ".join(student.loading.notes)
    assert [f"cell {n}, line 1" in told for n in (1, 2, 3, 4, 5, 6)] == [1, 1, 0, 1, 1, 1]
    assert "SyntaxError: invalid syntax: `def f(:`; the cell was skipped" in told


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(notebook(["def f():\n", "    return 7"]), id="a list of lines"),
        pytest.param(notebook("def f():\n    return 7"), id="one text"),
        pytest.param(
            json.dumps(
                {
                    "nbformat": 3,
                    "worksheets": [
                        {"cells": [{"cell_type": "code", "input": ["def f(): ", "return 7"]}]}
                    ],
                }
            ),
            id="format 3",
        ),
        pytest.param("\ufeff" + notebook("def f(): return 7"), id="a byte order mark"),
        pytest.param(
            notebook(
                3, None, "def f(): return 7", {"cell_type": "code"}, ["x = 1\n", 3],
                {"cell_type": "code", "source": 3}, {"cell_type": "raw", "source": "f = 1"},
            ),
            id="strange cells beside",
        ),
    ],
)  # fmt: skip
def test_notebooks_of_any_making(submit: Submit, content: str) -> None:
    assert value(submit(content, "f", name="hw.ipynb")) == 7


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a Jupyter notebook"),
        ("[]", "not a Jupyter notebook"),
        ('{"cells": null}', "not a Jupyter notebook"),
        ('{"cells": 3}', "not a Jupyter notebook"),
        ('{"worksheets": []}', "not a Jupyter notebook"),
        ("[" * 100_000, "not a Jupyter notebook"),
        (b"\xff\xfe", "not a Jupyter notebook"),
        ('{"cells": {"a": 1}}', "no code cell with code in it"),
        (notebook({"cell_type": "markdown", "source": "def f(): return 7"}), "no code cell"),
    ],
)
def test_what_is_no_notebook_is_said_to_be_none(
    submit: Submit, content: str | bytes, says: str
) -> None:
    assert says in raised(submit(content, "f", name="hw.ipynb"))
