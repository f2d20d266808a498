"""What a student's function may be, what it may return, and what is said when it is neither."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.student import CallError

if TYPE_CHECKING:
    from lossgrade.student import Answer, Returned
    from support import Submit

X = np.array([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]])


def returned(submit: Submit, expression: str, *, torch: bool = False) -> Returned:
    """Return what comes back of a function f(x) that returns the value of `expression`."""
    text = f"import numpy as np\n{'import torch' * torch}\ndef f(x): return {expression}\n"
    library = "torch" if torch else "numpy"
    return submit(text, "f", torch=torch).call("f", [X], library).value


@pytest.mark.parametrize(
    ("expression", "expected", "dtype", "container"),
    [
        ("x", X, "float64", "ndarray"),
        ("x.T", X.T, "float64", "ndarray"),
        ("x[::-1, ::-2]", X[::-1, ::-2], "float64", "ndarray"),
        ("np.asfortranarray(x)", X, "float64", "ndarray"),
        ("x[:, :0]", X[:, :0], "float64", "ndarray"),
        ("np.broadcast_to(x[0], (4, 3))", np.broadcast_to(X[0], (4, 3)), "float64", "ndarray"),
        ("x.astype('>f4')", X, "float32", "ndarray"),
        ("x.astype('float16')", X, "float16", "ndarray"),
        ("x.astype('longdouble')", X, np.dtype("longdouble").name, "ndarray"),
        ("x.astype('>i2')", X.astype(int), "int16", "ndarray"),
        ("x.astype('u1') * 0 + 200", np.full((2, 3), 200), "uint8", "ndarray"),
        ("x > 0", X > 0, "bool", "ndarray"),
        ("x[0, 0]", 1.5, "float64", "float64"),
        ("np.float32(0.1)", np.float32(0.1), "float32", "float32"),
        ("np.bool_(True)", True, "bool", "bool"),
        ("np.array(2.5)", 2.5, "float64", "ndarray"),
        ("np.matrix(x)", X, "float64", "matrix"),
        ("np.ma.masked_array(x, x < 0)", X, "float64", "MaskedArray"),
        ("x.view(type('Mine', (np.ndarray,), {}))", X, "float64", "Mine"),
        ("2.5", 2.5, "float64", "float"),
        ("3", 3, "int64", "int"),
        ("True", 1, "int64", "bool"),
        ("10**30", 1e30, "float64", "int"),
        ("float('nan')", math.nan, "float64", "float"),
        ("x.tolist()", X, "float64", "list"),
        ("tuple(map(tuple, x.tolist()))", X, "float64", "tuple"),
        ("[1, 2.5, True]", [1, 2.5, 1], "float64", "list"),
        ("[[], []]", np.empty((2, 0)), "int64", "list"),
        ("[]", np.empty(0), "int64", "list"),
        ("list(x)", X, "float64", "list"),
        ("[np.float32(v) for v in x[0]]", X[0], "float32", "list"),
        ("[v.reshape(()) for v in np.resize(x, 1000)]", np.resize(X, 1000), "float64", "list"),
    ],
)  # fmt: skip
def test_a_value_crosses(
    submit: Submit, expression: str, expected: Any, dtype: str, container: str
) -> None:
    found = returned(submit, expression)
    np.testing.assert_array_equal(found.values, np.asarray(expected), strict=False)
    assert found.shape == np.shape(expected)
    assert (found.dtype, found.container) == (dtype, container)
    assert found.is_array


@pytest.mark.parametrize(
    ("expression", "expected", "dtype", "graph"),
    [
        ("x", X, "float64", False),
        ("x.t()", X.T, "float64", False),
        ("x.bfloat16()", X, "bfloat16", False),
        ("x.half()", X, "float16", False),
        ("x.to(torch.float8_e5m2)", X, "float8_e5m2", False),
        ("x.requires_grad_() * 2", 2 * X, "float64", True),
        ("torch.nn.Parameter(x)", X, "float64", True),
        ("x[0, 0]", 1.5, "float64", False),
        ("x > 0", X > 0, "bool", False),
        ("x[0].expand(4, 3)", np.broadcast_to(X[0], (4, 3)), "float64", False),
        ("torch.complex(x, x).conj().imag", -X, "float64", False),
        ("torch.complex(x, x)[0, :1].conj().imag", [-1.5], "float64", False),
        ("torch.empty(0, 3)", np.empty((0, 3)), "float32", False),
        ("[v for v in x[0]]", X[0], "float64", False),
        ("x.long().to(torch.uint8) * 0 + 255", np.full((2, 3), 255), "uint8", False),
    ],
)
def test_a_tensor_crosses(
    submit: Submit, expression: str, expected: Any, dtype: str, graph: bool
) -> None:
    found = returned(submit, expression, torch=True)
    np.testing.assert_array_equal(found.values, np.asarray(expected))
    assert found.shape == np.shape(expected)
    assert (found.dtype, found.graph) == (dtype, graph)


def test_every_bit_of_a_float_crosses(submit: Submit) -> None:
    values = np.array([math.nan, -math.nan, math.inf, -math.inf, -0.0, 5e-324])
    values[:1].view("u8")[0] ^= 12345
    student = submit("def f(x): return x", "f")
    assert student.call("f", [values], "numpy").value.values.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("{'a': x}", "`f` returned a dict, which is no array"),
        ("(v for v in x)", "`f` returned a generator, which is no array"),
        ("'text'", "`f` returned a str, which is no array"),
        ("memoryview(x)", "`f` returned a memoryview, which is no array"),
        ("f", "`f` returned a function, which is no array"),
        ("[[1.0, 2.0], [3.0]]", "`f` returned a ragged list: its rows differ in length"),
        ("x * 1j", "`f` returned complex numbers (complex128)"),
        ("np.array([x, None], object)", "an object array (dtype=object); are its rows"),
        ("np.array(['a'])", "returned an array of dtype <U1, which is not numeric"),
        ("np.zeros(2, 'M8[s]')", "an array of dtype datetime64[s], which is not numeric"),
        ("np.zeros(2, 'i4,f4')", "which is not numeric"),
        ("np.broadcast_to(x, (10**9, 2, 3))", "more than the 64 MiB that a result may have"),
        ("10**400", "returned an integer too large for a float"),
        ("[[[[[[x]]]]]]", "returned a list that is nested too deeply or too long"),
        ("[None] * 1025", "returned a list that is nested too deeply or too long"),
        ("[[np.float32(1)] * 1000] * 5", "returned a frame of 5,000 arrays, more than 4,096"),
    ],
)
def test_what_is_no_array_is_named(submit: Submit, expression: str, says: str) -> None:
    with pytest.raises(CallError) as caught:
        returned(submit, expression)
    assert says in str(caught.value)
    assert caught.value.kind == "unsupported"


def test_a_list_that_holds_itself_ends(submit: Submit) -> None:
    student = submit("def f():\n    a = []\n    a.append(a)\n    return a", "f")
    with pytest.raises(CallError, match="RecursionError"):
        student.call("f", [], "numpy")


def test_no_value_is_no_array(submit: Submit) -> None:
    assert not returned(submit, "None").is_array
    assert not returned(submit, "[None, None]").is_array
    pair = returned(submit, "(x, x[0])")
    assert not pair.is_array
    assert [item.shape for item in pair.items] == [(2, 3), (3,)]


# --- what a function may be ----------------------------------------------------------------------

CALLABLES = {
    "a function": "def f(x): return 2 * x",
    "a positional-only parameter": "def f(x, /): return 2 * x",
    "an optional parameter": "def f(x, scale=2): return scale * x",
    "any number of parameters": "def f(*all): return 2 * all[0]",
    "a keyword-only parameter": "def f(*, x): return 2 * x",
    "a lambda": "f = lambda x: 2 * x",
    "a partial": "import functools\nf = functools.partial(lambda s, x: s * x, 2)",
    "a function of NumPy": "import numpy as np\nf = np.vectorize(lambda v: 2 * v)",
    "a decorated function": "def twice(g): return lambda *a: 2 * g(*a)\n@twice\ndef f(x): return x",
    "a wrapped function": """
        import functools
        def twice(g):
            @functools.wraps(g)
            def inner(*a, **k): return 2 * g(*a, **k)
            return inner
        @twice
        def f(x): return x
        """,
    "defined twice": "def f(x): return 0\ndef f(x): return 2 * x",
    "a class with __call__": "class f:\n    def __call__(self, x): return 2 * x",
    "a class with forward": "class f:\n    def forward(self, x): return 2 * x",
    "a class with a static forward": "class f:\n  @staticmethod\n  def forward(x): return 2 * x",
    "an instance": "class F:\n    def __call__(self, x): return 2 * x\nf = F()",
    "an instance with forward": "class F:\n    def forward(self, x): return 2 * x\nf = F()",
    "a bound method": "class F:\n    def g(self, x): return 2 * x\nf = F().g",
    "a class with an optional argument": """
        class f:
            def __init__(self, scale=2): self.scale = scale
            def __call__(self, x): return self.scale * x
        """,
    "beside a property that raises": """
        class Bad:
            @property
            def forward(self): raise ValueError
        g = Bad()
        def f(x): return 2 * x
        """,
}


@pytest.mark.parametrize("text", CALLABLES.values(), ids=CALLABLES)
def test_a_function_may_be(submit: Submit, text: str) -> None:
    found = submit(text, "f", "g").call("f", [X], "numpy").value
    np.testing.assert_array_equal(found.values, 2 * X)


TORCH_CALLABLES = {
    "a module": """
        class f(torch.nn.Module):
            def forward(self, x): return 2 * x
        """,
    "an autograd function": """
        class f(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return 2 * x
            @staticmethod
            def backward(ctx, g): return 2 * g
        """,
    "compiled by script": "@torch.jit.script\ndef f(x): return 2 * x",
    "under no_grad": "@torch.enable_grad()\ndef f(x): return 2 * x",
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("text", TORCH_CALLABLES.values(), ids=TORCH_CALLABLES)
def test_a_torch_function_may_be(submit: Submit, text: str) -> None:
    import textwrap

    student = submit("import torch\n" + textwrap.dedent(text), "f", torch=True)
    answer = student.call("f", [X], "torch", wrt=[0], cotangent=X)
    np.testing.assert_array_equal(answer.value.values, 2 * X)
    np.testing.assert_array_equal(answer.gradients[0].values, 2 * X)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("f = 3", "`f` is an int, not a function"),
        ("f = None", "`f` is a NoneType, not a function"),
        ("async def f(x): return x", "`f` is async; define it with a plain `def`"),
        (
            "class f:\n    def __init__(self, n): pass",
            "`f` creating the class failed: TypeError: f.__init__() missing 1 required "
            "positional argument: 'n'",
        ),
        ("class f:\n    def __init__(self): raise SystemExit", "creating the class failed: System"),
        (
            "class F:\n    @property\n    def forward(self): raise ValueError('no')\nf = F()",
            "`f` cannot be used: ValueError: no",
        ),
        (
            "class F:\n    def __getattribute__(self, name): raise BaseException(name)\nf = F()",
            "`f` cannot be used: BaseException: __",
        ),
    ],
)  # fmt: skip
def test_what_is_no_function_is_named(submit: Submit, text: str, says: str) -> None:
    student = submit(text, "f")
    with pytest.raises(CallError) as caught:
        student.call("f", [X], "numpy")
    assert says in str(caught.value)
    assert caught.value.kind == "missing"


def test_looking_for_an_unlisted_name_runs_their_code_and_survives(submit: Submit) -> None:
    text = """
        class Odd:
            def __getattribute__(self, name): raise BaseException(name)
        odd = Odd()
        def f(x): return x
        """
    student = submit(text, "f")
    with pytest.raises(CallError, match="BaseException"):
        student.call("odd", [X], "numpy")
    assert student.call("f", [X], "numpy").value.shape == (2, 3)
    with pytest.raises(CallError, match="`nothing` is not defined"):
        student.call("nothing", [X], "numpy")


def test_the_students_own_comes_before_a_librarys(submit: Submit) -> None:
    from lossgrade.assignment import LimitSettings
    from lossgrade.student import Student

    text = "from numpy import exp\ndef my_exp(x): return 2 * x\n"
    base = submit(text, "exp")
    assert base.loading.found["exp"] == {"name": "exp", "package": "numpy"}
    student = Student(base.submission, {"f": ["exp", "my_exp"]}, base.zygote, LimitSettings())
    np.testing.assert_array_equal(student.call("f", [X], "numpy").value.values, 2 * X)
    assert student.name("f") == "my_exp"
    student.close()


# --- arguments and gradients ---------------------------------------------------------------------


def test_arguments_come_as_what_they_are(submit: Submit) -> None:
    text = """
        import numpy as np
        def f(x, y, n, s, nothing, some, *, k, q):
            assert type(x) is np.ndarray and x.dtype == np.float64 and x.flags.writeable, x
            assert y.dtype == np.int64 and y.shape == (0, 3)
            assert n == 3 and s == "mean" and nothing is None and some == [1, 2.5]
            assert k.dtype == bool and q is True
            return x
        """
    answer = submit(text, "f").call(
        "f",
        [X.astype(">f8"), np.empty((0, 3), "i8"), 3, "mean", None, [1, 2.5]],
        "numpy",
        keywords={"k": X > 0, "q": True},
    )
    np.testing.assert_array_equal(answer.value.values, X)


def test_required_keywords_take_the_places_that_are_left(submit: Submit) -> None:
    student = submit("def f(x, *, y, z, w=1): return x + 10 * y + 100 * z + 1000 * w", "f")
    assert student.call("f", [1, 2, 3], "numpy").value.values == 1321
    with pytest.raises(CallError, match="takes 1 positional argument but 4 were given"):
        student.call("f", [1, 2, 3, 4], "numpy")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (X * 1j, "an array of dtype complex128, expected one of bool"),
        (np.array(["a"]), "an array of dtype <U1"),
        (np.array([None]), "an array of dtype object"),
    ],
)
def test_an_argument_that_cannot_cross_is_the_callers_mistake(
    submit: Submit, values: Any, says: str
) -> None:
    student = submit("def f(x): return 1.0", "f")
    with pytest.raises(TypeError, match=says):
        student.call("f", [values], "numpy")
    assert student.call("f", [X], "numpy").value.values == 1


def test_an_argument_too_large_is_the_callers_mistake(submit: Submit) -> None:
    from lossgrade.sandbox.protocol import ProtocolError

    student = submit("def f(x): return 1.0", "f")
    with pytest.raises(ProtocolError, match="larger than 64 MiB"):
        student.call("f", [np.zeros((8 << 20) + 1)], "numpy")
    assert student.call("f", [X], "numpy").value.values == 1


def test_arguments_are_seen_as_the_call_left_them(submit: Submit) -> None:
    text = "def f(x, n, s):\n    x[0] = 9\n    return x[1] * n"
    answer = submit(text, "f").call("f", [X, 2, "mean"], "numpy", echo=True)
    assert [item.is_array for item in answer.inputs_after] == [True, False, False]
    np.testing.assert_array_equal(answer.inputs_after[0].values[0], [9, 9, 9])


def test_an_argument_left_unreadable_is_a_line_not_a_crash(submit: Submit) -> None:
    text = "import torch\ndef f(x):\n    x.data = x.data.to(torch.complex64)\n    return x.real"
    with pytest.raises(CallError, match="complex"):
        submit(text, "f", torch=True).call("f", [X], "torch", echo=True)


GRADIENTS = """
    import torch
    def square(x, y): return x * x + 0 * y.sum()
    def unused(x, y): return x * 2
    def detached(x, y): return (x * x).detach()
    def number(x, y): return float(x.sum())
    def longer(x, y): return torch.cat([x, x])
    def column(x, y): return (x * x).reshape(-1, 1)
    def backwards(x, y): raise RuntimeError("one of them")
"""


def gradients(submit: Submit, name: str) -> Answer:
    student = submit(GRADIENTS, name, torch=True)
    return student.call(name, [X, X[0]], "torch", wrt=[0, 1], cotangent=X)


def test_gradients_come_back(submit: Submit) -> None:
    by_x, by_y = gradients(submit, "square").gradients
    np.testing.assert_allclose(by_x.values, 2 * X * X, rtol=1e-15)
    np.testing.assert_array_equal(by_y.values, [0, 0, 0])
    assert gradients(submit, "unused").gradients[1].values.tolist() == [0, 0, 0]
    # Right numbers in another shape have the right gradient.
    by_x, _ = gradients(submit, "column").gradients
    np.testing.assert_allclose(by_x.values, 2 * X * X, rtol=1e-15)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("detached", "the result is cut off from its input"),
        ("number", "the result is a float, not a tensor"),
        ("longer", "the result has shape (4, 3)"),
    ],
)
def test_a_gradient_that_cannot_be_is_explained(submit: Submit, name: str, says: str) -> None:
    answer = gradients(submit, name)
    assert (answer.gradients, answer.gradient_problem) == ((), says)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("return 1 / 0", "`f` raised ZeroDivisionError: division by zero (hw.py, line 3: `{}`)"),
        ("raise ValueError", "`f` raised ValueError (hw.py, line 3: `{}`)"),
        ("import numpy; numpy.zeros(2)[5]", "raised IndexError: index 5 is out of bounds"),
        ("raise BaseException('any')", "`f` raised BaseException: any"),
        ("raise KeyboardInterrupt", "`f` raised KeyboardInterrupt"),
        ("import sys; sys.exit(0)", "`f` raised SystemExit: the program ended itself"),
        ("input()", "`f` raised EOFError: input() has nobody to ask here"),
        ("raise ValueError('x' * 10**6)", "raised ValueError: xxx"),
        ("raise ValueError('a\\n\\x1b[31m\\ud800')", "raised ValueError: a [31m"),
        ("raise Mute", "`f` raised Mute: (its text cannot be shown)"),
        ("return f(x)", "`f` raised RecursionError: maximum recursion depth exceeded"),
        ("return bytearray(6 << 30)", "`f` raised MemoryError"),
        ("eval('1 +')", "`f` raised SyntaxError: invalid syntax"),
    ],
)
def test_an_error_is_one_line_with_their_own_line_in_it(
    submit: Submit, statement: str, says: str
) -> None:
    text = f"""
        def f(x):
            {statement}
        class Mute(Exception):
            def __str__(self): raise ValueError
        """.removeprefix("\n")
    student = submit("\n" + text, "f")
    with pytest.raises(CallError) as caught:
        student.call("f", [X], "numpy")
    said = str(caught.value)
    assert says.format(statement) in said
    assert len(said) < 1000
    assert said.isprintable()
    if "MemoryError" in says:
        assert caught.value.hint == "It asked for more memory than a submission may use."


def test_the_innermost_line_of_theirs_is_shown(submit: Submit) -> None:
    student = submit(
        {
            "hw.py": "import helper\ndef f(x):\n    return helper.g(x)\n",
            "helper.py": "import json\n\n\ndef g(x):\n    return json.loads('{')  # 数\n",
        },
        "f",
        entry="hw.py",
    )
    with pytest.raises(CallError) as caught:
        student.call("f", [X], "numpy")
    assert str(caught.value).endswith("(helper.py, line 5: `return json.loads('{') # 数`)")


def test_memory_beyond_the_limit_is_told_not_fatal(submit: Submit) -> None:
    text = "import numpy as np\ndef f(n): return np.ones(int(n)).sum()"
    student = submit(text, "f", memory_mib=256)
    assert student.call("f", [1e6], "numpy").value.values == 1e6
    with pytest.raises(CallError, match=r"Unable to allocate 7\.45 GiB") as caught:
        student.call("f", [1e9], "numpy")
    assert caught.value.hint == "It asked for more memory than a submission may use."
    assert student.call("f", [10], "numpy").value.values == 10


def test_a_result_that_memory_has_no_room_to_send_is_told(submit: Submit) -> None:
    # 56 MiB of arrays, their bytes, and the frame of them: the third copy is one too many.
    text = """
        import numpy as np
        kept = [np.ones(1 << 16) for _ in range(112)]
        def f(): return kept
        """
    student = submit(text, "f", memory_mib=145)
    with pytest.raises(CallError, match="`f` returned a result that its memory limit leaves no ro"):
        student.call("f", [], "numpy")
